package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// TestComposeFile wants what compose.yaml starts to be pinned and on loopback,
// and Grafana to have what the provisioning files ask of its environment.
func TestComposeFile(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Image       string
			Ports       []string
			Environment map[string]string
			Volumes     []string
		}
	}
	text, err := os.ReadFile("../compose.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &compose))
	require.Len(t, compose.Services, 2)
	for name, service := range compose.Services {
		require.Regexp(t, `:\d+\.\d+\.\d+$`, service.Image, name)
		require.NotEmpty(t, service.Ports, name)
		for _, port := range service.Ports {
			require.Regexp(t, `^127\.0\.0\.1:`, port, name)
		}
		for _, volume := range service.Volumes {
			if from, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(from, ".") {
				require.DirExists(t, filepath.Join("..", from))
			}
		}
	}
	files, err := filepath.Glob("../provisioning/*/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		asked := regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, asked, file)
		for _, variable := range asked {
			require.Contains(t, compose.Services["grafana"].Environment, variable[1], file)
		}
	}
	home := compose.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	require.FileExists(t, filepath.Join("..", filepath.Base(home)))
}
