package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImageHasAllSources: .dockerignore leaves out what it does not name, so it
// must name every folder with Go code, or the image can not be built.
func TestImageHasAllSources(t *testing.T) {
	ignore, err := os.ReadFile("../../.dockerignore")
	require.NoError(t, err)
	named := strings.Split(string(ignore), "\n")
	entries, err := os.ReadDir("../..")
	require.NoError(t, err)
	for _, entry := range entries {
		path := filepath.Join("../..", entry.Name())
		if strings.HasPrefix(entry.Name(), ".") || !hasGo(t, path, entry.IsDir()) {
			continue
		}
		require.Contains(t, named, "!"+entry.Name(), ".dockerignore must let Go code through")
	}
}

func hasGo(t *testing.T, path string, dir bool) (found bool) {
	t.Helper()
	if !dir {
		return strings.HasSuffix(path, ".go")
	}
	require.NoError(t, filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		found = found || (strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"))
		return err
	}))
	return found
}

// TestImageIsPinned: a base that changes would change what runners are.
func TestImageIsPinned(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	bases := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, bases)
	for _, base := range bases {
		name := strings.TrimSuffix(strings.TrimPrefix(base[1], "${"), "}")
		require.Regexp(t, `(?m)^ARG `+name+`=\S+:\S+@sha256:[0-9a-f]{64}$`, string(text), base[0])
	}
	require.Regexp(t, `(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`, string(text), "Kubernetes can tell by a number alone that it is not root")
}
