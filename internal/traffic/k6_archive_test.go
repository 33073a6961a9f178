package traffic

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

const archived = `
import http from 'k6/http';
import { path } from './lib/path.js';
const body = open('./body.txt');
if (!__ENV.PASSWORD || !__ENV.TARGET_URL) { throw new Error('no variables'); }
export default function () { http.post(__ENV.TARGET_URL + path, body + __ENV.PASSWORD); }
`

// archiveOf makes the archive of a script that needs other files and variables.
func archiveOf(t *testing.T, s plan.Stream, script string) ([]byte, error) {
	t.Helper()
	dir := s.Dir
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "lib"), 0o755))
	for name, text := range map[string]string{"script.js": script, "lib/path.js": "export const path = '/from/lib';", "body.txt": "the body "} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return Archive(t.Context(), s, []string{os.Args[0]}, s.Test.Load.Script)
}

// An archive is run by a k6 that knows nothing of where it was made.
func TestArchive(t *testing.T) {
	var asked atomic.Int64
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/from/lib" && string(body) == "the body sesame" {
			asked.Add(1)
		}
	})
	s := scriptTo(t, server.URL, archived, plan.Profile{VUs: 2, Duration: seconds(1), Grace: seconds(1)})
	s.Env = map[string]string{"PASSWORD": "sesame"}
	data, err := archiveOf(t, s, archived)
	require.NoError(t, err)
	again, err := archiveOf(t, s, archived)
	require.NoError(t, err)
	require.Equal(t, data, again, "the same script gives the same archive")
	require.NotContains(t, string(data), "sesame")
	require.NotContains(t, string(data), os.Getenv("PATH"), "nothing of this process")

	options := metadataOf(t, data)["options"].(map[string]any)
	require.Contains(t, options["scenarios"], "plan", "with the profile")

	file := filepath.Join(t.TempDir(), "script.tar")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	require.NoError(t, os.RemoveAll(s.Dir))
	cmd := exec.Command(os.Args[0], "run", "--quiet", "--no-usage-report", "--no-thresholds", "--summary-mode=disabled", file)
	cmd.Env = append(ownEnvironment(), pairs(Environment(s))...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Positive(t, asked.Load())
}

func metadataOf(t *testing.T, archive []byte) map[string]any {
	t.Helper()
	require.Equal(t, make([]byte, 1024), archive[len(archive)-1024:], "it is whole")
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := files.Next()
		require.NoError(t, err)
		require.Equal(t, header.Typeflag == tar.TypeLink, header.Linkname != "")
		require.Zero(t, header.ModTime.Unix())
		if header.Name == "metadata.json" {
			var metadata map[string]any
			require.NoError(t, json.NewDecoder(files).Decode(&metadata))
			require.Empty(t, metadata["env"])
			return metadata
		}
	}
}

func TestArchiveOfNoScript(t *testing.T) {
	for script, want := range map[string]string{
		"export default function () { let let }":                                    "script.js",
		"throw new Error('broken at the top'); export default function () {}":       "broken at the top",
		"export function other() {}":                                                `it exports no function "default"`,
		"export const options = { scenarios: {} }; export default function () {}":   "both say how much traffic there is",
		"import x from './nowhere.js'; export default function () {}":               "nowhere.js",
		"const f = open('./nothing.txt'); export default function () { return f; }": "nothing.txt",
	} {
		s := scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{VUs: 1, Duration: seconds(1)})
		_, err := archiveOf(t, s, script)
		var misfit *PlanError
		require.True(t, errors.As(err, &misfit), "%s: %v", script, err)
		require.Contains(t, misfit.Message, want)
	}
}

func TestResolve(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"sesame","token_type":"Bearer","expires_in":600}`)
	})
	s := scriptTo(t, "http://127.0.0.1:1", archived, plan.Profile{VUs: 1, Duration: seconds(1)})
	settings, until, err := Resolve(t.Context(), s)
	require.NoError(t, err)
	require.Zero(t, until)
	require.Equal(t, "k6/beta/t/candidate", settings.Source)

	s.Target.Headers = map[string]string{"X-Tenant": "synthetic"}
	s.Target.Auth = &plan.Auth{OAuth2: &plan.OAuth2{TokenURL: server.URL, ClientID: "me", ClientSecret: "hidden"}}
	s.Hosts = append(s.Hosts, strings.TrimPrefix(server.URL, "http://"))
	settings, until, err = Resolve(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"X-Tenant": "synthetic", "Authorization": "Bearer sesame"}, settings.Headers)
	require.WithinDuration(t, time.Now().Add(10*time.Minute), until, time.Minute)
}
