package disrupt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// trusting is the settings of a client that trusts the authority in a file.
func trusting(t testing.TB, file string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(file)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
}

// shown connects and gives the certificate that it is shown.
func shown(p *TCPProxy, config *tls.Config) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", p.at(), config)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("ok")); err != nil {
		return nil, err
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(c, got); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

// certificateContracts say what a client that checks finds wrong.
var certificateContracts = map[string]func(error) bool{
	"expired":       invalid(x509.Expired),
	"not-yet-valid": invalid(x509.Expired),
	"wrong-name":    func(err error) bool { return errors.As(err, new(x509.HostnameError)) },
	"untrusted":     func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) },
}

func invalid(reason x509.InvalidReason) func(error) bool {
	return func(err error) bool {
		var e x509.CertificateInvalidError
		return errors.As(err, &e) && e.Reason == reason
	}
}

func TestCertificateBitesAndLifts(t *testing.T) {
	kinds := slices.Sorted(maps.Keys(certificates))
	require.Equal(t, kinds, slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(certificateContracts)), "rotate"))))
	for kind, bitten := range certificateContracts {
		t.Run(kind, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("run", func(t *testing.T) {
				p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Serve: &plan.Serve{Names: []string{"db.local"}}})
				config := trusting(t, p.CA())
				good, err := shown(p, config)
				require.NoError(t, err)
				require.NoError(t, good.VerifyHostname("db.local"))
				open, err := tls.Dial("tcp", p.at(), config)
				require.NoError(t, err)
				defer open.Close()

				lift := injectOn(t, p, "d", plan.Disruption{Certificate: &plan.Certificate{Kind: kind}}, 1)
				require.NoError(t, open.SetReadDeadline(time.Now().Add(patience)))
				_, err = open.Read(make([]byte, 1))
				require.Error(t, err, "what was open is closed")
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
				for range 3 {
					_, err := shown(p, config)
					require.True(t, bitten(err), "%v", err)
				}
				want := measure.Touch{Matched: 3, Touched: 3, Unit: "handshakes"}
				require.Equal(t, want, lift())
				again, err := shown(p, config)
				require.NoError(t, err)
				require.True(t, good.Equal(again))
				require.Equal(t, want, lift(), "lifting twice")
				file := p.CA()
				require.NoError(t, p.Close())
				require.NoFileExists(t, file)
			})
			requireNoLeaks(t, before)
		})
	}
}

func TestCertificateRotates(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Serve: &plan.Serve{}})
	config := trusting(t, p.CA())
	good, err := shown(p, config)
	require.NoError(t, err)
	lift := injectOn(t, p, "d", plan.Disruption{Certificate: &plan.Certificate{Kind: "rotate", Every: plan.Duration(30 * time.Millisecond)}}, 1)
	seen := map[string]bool{}
	require.Eventually(t, func() bool {
		c, err := shown(p, config)
		require.NoError(t, err, "all of them are good")
		require.False(t, good.Equal(c))
		seen[c.SerialNumber.String()] = true
		return len(seen) == 3
	}, patience, time.Millisecond)
	require.GreaterOrEqual(t, lift().Touched, uint64(3))
	again, err := shown(p, config)
	require.NoError(t, err)
	require.True(t, good.Equal(again))
}

// TestCertificateFlaps has a client that keeps its connection: it meets the bad
// certificate in every turn, not in the first one alone.
func TestCertificateFlaps(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Serve: &plan.Serve{}})
	config := trusting(t, p.CA())
	turns := plan.Duration(30 * time.Millisecond)
	lift := injectOn(t, p, "d", plan.Disruption{Certificate: &plan.Certificate{Kind: "expired"}, Flap: &plan.Flap{On: turns, Off: turns}}, 1)
	defer lift()
	for turn := range 3 {
		var kept *tls.Conn
		require.Eventually(t, func() (ok bool) {
			var err error
			kept, err = tls.Dial("tcp", p.at(), config)
			return err == nil
		}, patience, time.Millisecond, "between turns it is good")
		defer kept.Close()
		require.NoError(t, kept.SetReadDeadline(time.Now().Add(patience)))
		_, err := kept.Read(make([]byte, 1))
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "turn %d", turn)
		require.Error(t, err)
	}
}

func TestCertificateIsBounded(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Serve: &plan.Serve{}})
	config := trusting(t, p.CA())
	lift := injectOn(t, p, "d", plan.Disruption{Certificate: &plan.Certificate{Kind: "expired"}, First: 2}, 1)
	var failed uint64
	for range 5 {
		if _, err := shown(p, config); err != nil {
			failed++
		}
	}
	require.EqualValues(t, 2, failed)
	require.EqualValues(t, 2, lift().Touched)
}

// Over HTTP, too, in both versions.
func TestCertificateOfHTTP(t *testing.T) {
	for version, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(version, func(t *testing.T) {
			inner, _ := frontOf(t, ok)
			p, err := NewProxy(t.Context(), "db", plan.Dependency{Upstream: inner.URL(), Serve: &plan.Serve{}}, "beta", t.TempDir(), (&tcpGathered{}).emit)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			require.Contains(t, p.URL(), "https://")
			client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: trusting(t, p.CA()), ForceAttemptHTTP2: http2}}
			defer client.CloseIdleConnections()
			get := func() error {
				res, err := client.Get(p.URL())
				if err != nil {
					return err
				}
				defer res.Body.Close()
				_, err = io.Copy(io.Discard, res.Body)
				require.Equal(t, version, res.Proto)
				require.Equal(t, 200, res.StatusCode)
				return err
			}
			require.NoError(t, get())
			lift := injectOn(t, p, "d", plan.Disruption{Certificate: &plan.Certificate{Kind: "wrong-name"}}, 1)
			require.Eventually(t, func() bool { return errors.As(get(), new(x509.HostnameError)) }, patience, time.Millisecond)
			require.NotZero(t, lift().Touched)
			require.NoError(t, get())
		})
	}
}
