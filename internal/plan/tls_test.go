package plan

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// identity is a file with a certificate and its key.
const identity = "testdata/valid/ca.pem"

func TestTLSConfig(t *testing.T) {
	absolute, err := filepath.Abs(identity)
	require.NoError(t, err)
	data, err := os.ReadFile(identity)
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)

	config, err := (*TLS)(nil).Config("")
	require.NoError(t, err)
	require.EqualValues(t, 0x303, config.MinVersion, "TLS 1.2")
	require.Nil(t, config.RootCAs, "the system's")
	require.False(t, config.InsecureSkipVerify)

	for name, settings := range map[string]TLS{
		"relative": {CA: "ca.pem", Cert: "ca.pem", Key: "ca.pem", ServerName: "shop.internal"},
		"absolute": {CA: absolute, Cert: absolute, Key: absolute, ServerName: "shop.internal"},
	} {
		config, err := settings.Config(filepath.Dir(identity))
		require.NoError(t, err, name)
		require.Equal(t, "shop.internal", config.ServerName)
		require.Len(t, config.Certificates, 1)
		_, err = cert.Verify(x509.VerifyOptions{Roots: config.RootCAs, DNSName: "shop.internal", CurrentTime: cert.NotBefore})
		require.NoError(t, err, name)
	}
	config, err = (&TLS{Insecure: true}).Config("")
	require.NoError(t, err)
	require.True(t, config.InsecureSkipVerify)
	require.Nil(t, config.RootCAs)
}

func TestTLSConfigThatIsWrong(t *testing.T) {
	for want, settings := range map[string]TLS{
		"tls: ca: open " + filepath.Join("testdata", "valid", "none.pem"): {CA: "none.pem"},
		"tls: ca: shop.yaml holds no certificate in PEM":                  {CA: "shop.yaml"},
		"tls: cert and key: give both or none":                            {Key: "ca.pem"},
		"tls: cert ca.pem with key shop.yaml: ":                           {Cert: "ca.pem", Key: "shop.yaml"},
	} {
		_, err := settings.Config(filepath.Join("testdata", "valid"))
		require.ErrorContains(t, err, want)
	}
}
