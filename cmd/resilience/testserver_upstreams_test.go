package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
)

// upstreams are what `upstream` starts: each serves on a listener and gives how
// to end it.
var upstreams = map[string]func(net.Listener) (end func(), err error){
	"tcp": func(l net.Listener) (func(), error) {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = io.Copy(conn, conn)
				}()
			}
		}()
		return func() { _ = l.Close() }, nil
	},
	"grpc": func(l net.Listener) (func(), error) {
		s := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(s, health.NewServer())
		go func() { _ = s.Serve(l) }()
		return s.Stop, nil
	},
	"dns": func(l net.Listener) (func(), error) {
		packets, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			return nil, err // somebody has just that port of UDP
		}
		s := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(resolve)}
		go func() { _ = s.ActivateAndServe() }()
		return func() { _ = errors.Join(packets.Close(), l.Close()) }, nil
	},
}

// resolve has an address for every name.
func resolve(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg).SetReply(question)
	for _, q := range question.Question {
		if q.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 0}, A: net.IPv4(127, 0, 0, 1),
			})
		}
	}
	_ = w.WriteMsg(answer)
}

// upstream PROTOCOL VARIABLE starts something that speaks tcp (an echo), grpc
// (health checks) or dns, for as long as the script lives; its host:port is in
// the variable, its port in VARIABLE_PORT.
func upstream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || upstreams[args[0]] == nil {
		ts.Fatalf("usage: upstream tcp|grpc|dns VARIABLE")
	}
	l, end, err := startUpstream(args[0])
	for try := 1; err != nil && try < 10; try++ {
		l, end, err = startUpstream(args[0])
	}
	ts.Check(err)
	ts.Defer(end)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ts.Setenv(args[1], l.Addr().String())
	ts.Setenv(args[1]+"_PORT", port)
}

func startUpstream(protocol string) (l net.Listener, end func(), err error) {
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, nil, err
	}
	if end, err = upstreams[protocol](l); err != nil {
		_ = l.Close()
	}
	return l, end, err
}

// askLimit is the timeout of what the server asks: it is no system that hangs.
const askLimit = 2 * time.Second

// asks are the ways in which the server asks what it depends on, each by the
// protocol of that; the name of the dependency follows in the path.
var asks = map[string]func(ctx context.Context, at *url.URL, authority string) error{
	"tcp":   askEcho,
	"grpc":  askHealth,
	"dns":   askName,
	"https": askSecurely,
	"retry": askThrice,
}

// ask answers with 200 if the dependency did as it should, and otherwise with
// the status of the cause: /ask/PROTOCOL/NAME.
func ask(w http.ResponseWriter, r *http.Request) {
	at, err := url.Parse(os.Getenv("RESILIENCE_DEP_" + r.PathValue("name") + "_URL"))
	by := asks[r.PathValue("protocol")]
	if err != nil || by == nil || at.Host == "" {
		http.Error(w, "no such dependency", http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askLimit)
	defer cancel()
	if err := by(ctx, at, os.Getenv("RESILIENCE_DEP_"+r.PathValue("name")+"_CA")); err != nil {
		http.Error(w, err.Error(), statusOf(err))
	}
}

// statusOf lets a report tell the causes apart.
func statusOf(err error) int {
	var name *net.DNSError
	var certificate x509.CertificateInvalidError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return 561
	case errors.As(err, &certificate) && certificate.Reason == x509.Expired:
		return 562
	case grpcstatus.Code(err) == codes.Unavailable:
		return 563
	case errors.Is(err, syscall.ECONNRESET):
		return 564
	case errors.Is(err, syscall.ECONNREFUSED):
		return 565
	}
	return http.StatusBadGateway
}

func askEcho(ctx context.Context, at *url.URL, _ string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "hello\n" {
		return fmt.Errorf("got %q: %w", line, err)
	}
	return nil
}

func askHealth(ctx context.Context, at *url.URL, _ string) error {
	conn, err := grpc.NewClient("passthrough:///"+at.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func askName(ctx context.Context, at *url.URL, _ string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.Host)
	}}
	_, err := resolver.LookupIP(ctx, "ip4", "shop.test.")
	return err
}

// askSecurely trusts the authority of the proxy only, and shakes hands each
// time.
func askSecurely(ctx context.Context, at *url.URL, authority string) error {
	text, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return errors.New("no certificate in " + authority)
	}
	return get(ctx, at, &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted}})
}

// askThrice retries what failed: it makes a small trouble a large one.
func askThrice(ctx context.Context, at *url.URL, _ string) (err error) {
	for range 3 {
		if err = get(ctx, at, http.DefaultTransport); err == nil {
			return nil
		}
	}
	return err
}

func get(ctx context.Context, at *url.URL, by http.RoundTripper) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: by}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return err
}
