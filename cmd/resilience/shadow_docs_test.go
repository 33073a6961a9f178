package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Files of the examples of docs/recordings.md.
const (
	browserHAR = `{"log":{"entries":[
{"startedDateTime":"2026-01-02T03:04:05Z","time":3,"request":{"method":"GET","url":"https://shop.example/orders/17","headers":[]},
 "response":{"status":200,"headers":[],"content":{"mimeType":"application/json","text":"{\"id\":17,\"state\":\"open\"}\n\n"}}},
{"startedDateTime":"2026-01-02T03:04:06Z","time":3,"request":{"method":"POST","url":"https://shop.example/orders","headers":[],
  "postData":{"mimeType":"application/json","text":"{\"sku\":\"a-1\"}"}},
 "response":{"status":201,"headers":[],"content":{"mimeType":"application/json","text":"{\"id\":18}"}}}]}}`
	accessLog = `10.0.0.1 - - [02/Jan/2026:03:04:07 +0000] "GET / HTTP/1.1" 200 10 "-" "curl"
10.0.0.1 - - [02/Jan/2026:03:04:07 +0000] "GET /orders/17 HTTP/1.1" 200 10 "-" "curl"
10.0.0.1 - - [02/Jan/2026:03:04:08 +0000] "GET /orders/18 HTTP/1.1" 200 10 "-" "curl"
10.0.0.1 - - [02/Jan/2026:03:04:08 +0000] "\x16\x03\x01" 400 10 "-" "-"
10.0.0.1 - - [02/Jan/2026:03:04:09 +0000] "GET /orders/1 HTTP/1.1" 404 10 "-" "curl"
`
)

// TestRecordingsPage runs the commands of the page, and compares what they write.
func TestRecordingsPage(t *testing.T) {
	page := readPage(t, "../../docs/recordings.md")
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("browser.har", []byte(browserHAR), 0o600))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte(accessLog))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile("access.log.gz", zipped.Bytes(), 0o600))

	blocks := regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(page, -1)
	ran := 0
	for n, block := range blocks {
		command, is := strings.CutPrefix(strings.TrimSpace(block), "resilience ")
		if !is {
			continue
		}
		ran++
		var out, errs bytes.Buffer
		require.Zero(t, run(context.Background(), strings.Fields(command), strings.NewReader(""), &out, &errs), "%s", errs.String())
		require.Equal(t, unsized(regexp.MustCompile("(?m)^    ").ReplaceAllString(blocks[n+1], "")), unsized(out.String()), command)
	}
	require.Equal(t, 2, ran)
}

// unsized leaves out the size of a file, which random bytes change.
func unsized(text string) string {
	return regexp.MustCompile(`has [0-9]+B`).ReplaceAllString(text, "has so many bytes")
}

// TestRecordingsPageFlags: the page names only flags that there are.
func TestRecordingsPageFlags(t *testing.T) {
	shadow := shadowCommand(&streams{})
	all := map[string]bool{}
	for _, name := range []string{"import", "show"} {
		cmd, _, err := shadow.Find([]string{name})
		require.NoError(t, err)
		for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(cmd.Flags().FlagUsages(), -1) {
			all[flag] = true
		}
	}
	named := regexp.MustCompile("--[a-z][a-z-]+").FindAllString(readPage(t, "../../docs/recordings.md"), -1)
	require.Greater(t, len(named), 15)
	for _, flag := range named {
		require.True(t, all[flag], "%s", flag)
	}
}
