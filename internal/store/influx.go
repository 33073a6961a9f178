package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// Influx is an InfluxDB and where in it points go.
type Influx struct {
	URL    string      // base URL, http or https
	Token  string      // "" for none; in version 1.8 user:password
	Org    string      // of version 2 and 3; "" in 1.8
	Bucket string      // in version 1.8 database, or database/retention-policy
	TLS    *tls.Config // nil: the system's

	Insecure bool // the token may go over plain http, because the network is trusted
}

// Validate wants all that is needed, and a token that nobody overhears.
func (i Influx) Validate() error {
	u, err := url.Parse(i.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("the URL of InfluxDB is like http://127.0.0.1:8086")
	case u.User != nil:
		return errors.New("credentials are never written in the URL of InfluxDB: put them into INFLUX_TOKEN")
	case i.Bucket == "":
		return errors.New("InfluxDB wants a bucket: set INFLUX_BUCKET")
	case i.Token != "" && u.Scheme == "http" && !i.Insecure && !loopback(u.Hostname()):
		return fmt.Errorf("the token would go to %s unencrypted: write the URL as https://, or allow it by INFLUX_INSECURE_HTTP=true where the network is trusted", u.Host)
	}
	return nil
}

func loopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || (address != nil && address.IsLoopback())
}

// influxTimeout is how long one request may take.
const influxTimeout = 15 * time.Second

// httpClient follows no redirects, so that the token goes nowhere else.
func (i Influx) httpClient() *http.Client {
	return &http.Client{
		Timeout: influxTimeout,
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: influxTimeout / 3}).DialContext, TLSClientConfig: i.TLS, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// influxWriter sends lines, once.
type influxWriter struct {
	client influxdb2.Client
	http   *http.Client
	to     Influx
}

func newInfluxWriter(to Influx) *influxWriter {
	own := to.httpClient()
	options := influxdb2.DefaultOptions().SetUseGZip(true).SetPrecision(time.Nanosecond).SetHTTPClient(own).SetApplicationName("resilience")
	return &influxWriter{influxdb2.NewClientWithOptions(to.URL, to.Token, options), own, to}
}

func (w *influxWriter) close() {
	w.client.Close()
	w.http.CloseIdleConnections()
}

// write sends lines. Its error is a *refusal; sending the same lines again
// writes the same points.
func (w *influxWriter) write(ctx context.Context, lines []byte) error {
	err := w.client.WriteAPIBlocking(w.to.Org, w.to.Bucket).WriteRecord(ctx, strings.TrimSuffix(string(lines), "\n"))
	if err == nil {
		return nil
	}
	return refusalOf(err, w.to)
}

// refusal is why InfluxDB did not take points.
type refusal struct {
	message string
	status  int           // of HTTP; 0 when there was no answer
	nowhere bool          // there is no such bucket
	after   time.Duration // that it asked to wait; 0 when it did not
}

func (r *refusal) Error() string { return r.message }

// points reports whether what was sent is at fault, so that sending it again
// would not help, and other points may be taken.
func (r *refusal) points() bool {
	return r.status == http.StatusBadRequest || r.status == http.StatusRequestEntityTooLarge || r.status == http.StatusUnprocessableEntity
}

// settings reports whether the token, the bucket or the URL is at fault, so that
// nothing is taken before somebody changes that.
func (r *refusal) settings() bool {
	return r.nowhere || !r.points() && r.status >= 300 && r.status < 500 && r.status != http.StatusRequestTimeout && r.status != http.StatusTooManyRequests
}

// refusalOf words an error of the client, without its URL and headers.
func refusalOf(err error, to Influx) *refusal {
	var answer *influxhttp.Error
	if !errors.As(err, &answer) || answer.StatusCode == 0 {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return &refusal{message: "InfluxDB can not be reached: " + oneLine(err.Error())}
	}
	said := answer.Message
	if said == "" {
		said = http.StatusText(answer.StatusCode)
	}
	r := &refusal{status: answer.StatusCode, nowhere: noPolicy(answer), after: time.Duration(answer.RetryAfter) * time.Second}
	detail := fmt.Sprintf("%d: %s", r.status, cut(oneLine(said), 300))
	switch {
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		r.message = "InfluxDB refuses the token (" + detail + "): it must be one that may write to the bucket " + to.Bucket
	case to.Org == "" && (r.nowhere || r.status == http.StatusNotFound):
		r.message = "InfluxDB has no database " + to.Bucket + " (" + detail + ")"
	case r.status == http.StatusNotFound:
		r.message = "InfluxDB has no bucket " + to.Bucket + " in the organization " + to.Org + " (" + detail + ")"
	case r.status >= 300 && r.status < 400:
		r.message = fmt.Sprintf("InfluxDB answers %d, a redirect, which is not followed: give its new URL", r.status)
	default:
		r.message = "InfluxDB answers " + detail
	}
	return r
}

// noPolicy reports whether version 1.8 has no such retention policy: an error of
// its own, it says, but not one that passes.
func noPolicy(answer *influxhttp.Error) bool {
	return answer.StatusCode == http.StatusInternalServerError && strings.HasPrefix(answer.Message, "retention policy not found")
}

// Waiting between two attempts: the base doubles with each attempt.
const (
	backoffBase  = 250 * time.Millisecond
	backoffMost  = 15 * time.Second
	backoffAsked = 2 * time.Minute // the longest that InfluxDB may ask for
)

// backoff is how long to wait after an attempt, of which the first is 0, failed:
// at least what was asked for, else between half and all of the exponential
// time, so that runners do not come all at once.
func backoff(attempt int, asked time.Duration, random *rand.Rand) time.Duration {
	full := min(backoffBase<<min(attempt, 10), backoffMost)
	wait := full/2 + time.Duration(random.Int64N(int64(full/2)+1))
	return max(wait, min(asked, backoffAsked))
}
