package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// proxyToken is the variable that may hold the token of a control. There is no
// flag for it: the arguments of a process are there for all to see.
const proxyToken = "RESILIENCE_PROXY_TOKEN"

// closeWithin is how long stopping may take.
const closeWithin = 5 * time.Second

// proxyOptions are the flags of the proxy command.
type proxyOptions struct {
	listen, protocol []string
	config           string
	control          string
	tokenFile        string
	cert, key        string
	insecure         bool
	ttl              time.Duration
}

func proxyCommand(s *streams) *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "proxy NAME=UPSTREAM...",
		Short: "Run proxies for dependencies, to be controlled from elsewhere",
		Long: `proxy puts a proxy in front of each upstream and lets a plan that runs elsewhere
put faults on it: see proxy: of a dependency. It is a sidecar, a container or a
pod next to the system. A fault that its controller does not renew within --ttl
is lifted, so that a lost controller means no fault; all are lifted when it
stops. A token is read from ` + proxyToken + ` or --token-file.`,
		Example: `  resilience proxy payments=http://127.0.0.1:8301 stock=127.0.0.1:5432 --protocol stock=tcp
  resilience proxy --config proxies.yaml --control 0.0.0.0:9900 --token-file token --tls-cert cert.pem --tls-key key.pem`,
		RunE: func(cmd *cobra.Command, args []string) error { return runProxy(cmd.Context(), s, args, o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.listen, "listen", nil, "where a proxy listens: `NAME=HOST:PORT`; default a free loopback port")
	f.StringArrayVar(&o.protocol, "protocol", nil, "what a proxy speaks: `NAME=PROTOCOL`, one of http, grpc, tcp or dns; default http")
	f.StringVar(&o.config, "config", "", "a YAML `FILE` of proxies: what a plan has under dependencies:")
	f.StringVar(&o.control, "control", "127.0.0.1:0", "where the control listens: `HOST:PORT`")
	f.StringVar(&o.tokenFile, "token-file", "", "a `FILE` with the token that orders must carry")
	f.StringVar(&o.cert, "tls-cert", "", "certificate of the control: a PEM `FILE`")
	f.StringVar(&o.key, "tls-key", "", "its key: a PEM `FILE`")
	f.BoolVar(&o.insecure, "insecure-control", false, "let the control listen for others without a token or without TLS")
	f.DurationVar(&o.ttl, "ttl", disrupt.DefaultTTL, "the longest that a fault lives without being renewed")
	return cmd
}

// runProxy serves until it is interrupted.
func runProxy(ctx context.Context, s *streams, args []string, o proxyOptions) error {
	wanted, dir, err := o.proxies(args)
	if err != nil {
		return err
	}
	token, config, err := o.credentials(s.err)
	if err != nil {
		return err
	}
	ctx, _, stop := interruptible(ctx)
	defer stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.control)
	if err != nil {
		return fmt.Errorf("--control: can not listen on %s: %w", o.control, err)
	}
	proxies, served, err := startProxies(ctx, wanted, dir)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	control := disrupt.NewControl(proxies, token, o.ttl)
	control.Served = served
	for _, name := range slices.Sorted(maps.Keys(proxies)) {
		fmt.Fprintln(s.out, describeProxy(name, proxies[name], wanted[name]))
	}
	fmt.Fprintln(s.out, describeControl(listener, token, config, o.ttl))
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	broken := make(chan error, 1)
	go func() { broken <- control.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-broken:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	err = errors.Join(err, control.Close(closing), closeProxies(proxies))
	if err == nil {
		fmt.Fprintln(s.out, "stopped: no fault is left")
	}
	return err
}

// describeProxy says where a proxy is, and whom to trust where it serves TLS.
func describeProxy(name string, proxy disrupt.Dependency, d plan.Dependency) string {
	text := fmt.Sprintf("proxy %s at %s in front of %s", name, proxy.URL(), d.Upstream)
	if secure, ok := proxy.(interface{ CA() string }); ok && secure.CA() != "" {
		text += "; its authority is in " + secure.CA()
	}
	return text
}

// describeControl says where the control is and what it wants.
func describeControl(l net.Listener, token string, config *tls.Config, ttl time.Duration) string {
	scheme, wants := "http", "without a token"
	if config != nil {
		scheme = "https"
	}
	if token != "" {
		wants = "with a token"
	}
	return fmt.Sprintf("control at %s://%s (%s); a fault that is not renewed is lifted after %s at most", scheme, l.Addr(), wants, plan.Duration(ttl))
}

// startProxies starts all or none.
func startProxies(ctx context.Context, wanted map[string]plan.Dependency, dir string) (map[string]disrupt.Dependency, map[string]disrupt.Served, error) {
	proxies, served := map[string]disrupt.Dependency{}, map[string]disrupt.Served{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		d, backlog := wanted[name], &disrupt.Backlog{}
		proxy, err := disrupt.NewDependency(ctx, name, d, "", dir, func(b measure.Batch) error { return backlog.Keep(b) })
		if err != nil {
			return nil, nil, errors.Join(err, closeProxies(proxies))
		}
		proxies[name], served[name] = proxy, disrupt.Served{Protocol: d.Protocol, Listen: d.Listen, Backlog: backlog}
	}
	return proxies, served, nil
}

func closeProxies(proxies map[string]disrupt.Dependency) error {
	var errs []error
	for _, proxy := range proxies {
		errs = append(errs, proxy.Close())
	}
	return errors.Join(errs...)
}

// proxies are what was asked for, and the folder where relative paths start.
func (o proxyOptions) proxies(args []string) (wanted map[string]plan.Dependency, dir string, err error) {
	dir, wanted = ".", map[string]plan.Dependency{}
	if o.config != "" {
		dir = filepath.Dir(o.config)
		if wanted, err = readProxies(o.config); err != nil {
			return nil, "", err
		}
	}
	listen, err := byName("--listen", "HOST:PORT", o.listen)
	if err != nil {
		return nil, "", err
	}
	protocol, err := byName("--protocol", "PROTOCOL", o.protocol)
	if err != nil {
		return nil, "", err
	}
	upstreams, err := byName("resilience proxy", "UPSTREAM", args)
	if err != nil {
		return nil, "", err
	}
	for name, upstream := range upstreams {
		if _, twice := wanted[name]; twice {
			return nil, "", &usageError{fmt.Sprintf("there are two proxies called %q: one is in %s", name, o.config)}
		}
		if wanted[name], err = oneProxy(name, upstream, protocol[name], listen[name]); err != nil {
			return nil, "", err
		}
	}
	if len(wanted) == 0 {
		return nil, "", &usageError{"resilience proxy wants NAME=UPSTREAM, such as payments=http://127.0.0.1:8301, or --config FILE"}
	}
	for flag, values := range map[string]map[string]string{"--listen": listen, "--protocol": protocol} {
		for name := range values {
			if _, ok := upstreams[name]; !ok {
				return nil, "", &usageError{fmt.Sprintf("%s %s=%s: there is no NAME=UPSTREAM with that name", flag, name, values[name])}
			}
		}
	}
	return wanted, dir, nil
}

// byName reads NAME=VALUE.
func byName(flag, what string, pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || value == "" {
			return nil, &usageError{fmt.Sprintf("%s wants NAME=%s; got %q", flag, what, pair)}
		}
		if _, twice := out[name]; twice {
			return nil, &usageError{fmt.Sprintf("%s: %s is given twice", flag, name)}
		}
		out[name] = value
	}
	return out, nil
}

// oneProxy reads a proxy of the command line by the rules of a plan.
func oneProxy(name, upstream, protocol, listen string) (plan.Dependency, error) {
	said := map[string]string{"upstream": upstream}
	if protocol != "" {
		said["protocol"] = protocol
	}
	if listen != "" {
		said["listen"] = listen
	}
	text, err := json.Marshal(map[string]any{name: said})
	if err != nil {
		return plan.Dependency{}, err
	}
	wanted, err := plan.ParseDependencies(name, text, plan.Options{})
	var problems plan.Errors
	if errors.As(err, &problems) { // a place in what nobody wrote is of no use
		message := problems[0].Message
		if problems[0].Hint != "" {
			message += "; " + problems[0].Hint
		}
		return plan.Dependency{}, &usageError{fmt.Sprintf("%s=%s: %s", name, upstream, message)}
	}
	return wanted[name], err
}

// readProxies reads a file of proxies. Its variables are those of the
// environment.
func readProxies(path string) (map[string]plan.Dependency, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--config: %v", err)}
	}
	wanted, err := plan.ParseDependencies(path, text, plan.Options{Dir: filepath.Dir(path)})
	if err != nil {
		return nil, err
	}
	for name, d := range wanted {
		if wanted[name], err = plan.Bind(d, func(string) (string, bool) { return "", false }); err != nil {
			return nil, &usageError{fmt.Sprintf("%s: %s: %v", path, name, err)}
		}
	}
	return wanted, nil
}

// credentials are the token and the certificate of the control. Whoever can
// reach it can harm the system, so both are wanted where others can.
func (o proxyOptions) credentials(told io.Writer) (token string, config *tls.Config, err error) {
	if o.ttl < time.Second {
		return "", nil, &usageError{fmt.Sprintf("--ttl wants 1s or more: orders take their time to arrive; got %s", o.ttl)}
	}
	if token, err = o.token(); err != nil {
		return "", nil, err
	}
	pair, err := flaggedPair("--tls-cert", o.cert, "--tls-key", o.key, func(err error) { fmt.Fprintln(told, err) })
	if err != nil {
		return "", nil, err
	}
	if pair != nil {
		config = pair.server()
	}
	host, _, err := net.SplitHostPort(o.control)
	if err != nil {
		return "", nil, &usageError{fmt.Sprintf("--control wants HOST:PORT, such as 127.0.0.1:9900; got %q", o.control)}
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() || o.insecure {
		return token, config, nil
	}
	if token == "" {
		return "", nil, &usageError{fmt.Sprintf("--control %s can be reached by others: put a token into %s or --token-file, or say --insecure-control", o.control, proxyToken)}
	}
	if config == nil {
		return "", nil, &usageError{fmt.Sprintf("--control %s can be reached by others, and the token would be there to be read: give --tls-cert and --tls-key, or say --insecure-control", o.control)}
	}
	return token, config, nil
}

// token reads it from the one place where it is. Its value is never shown.
func (o proxyOptions) token() (string, error) {
	_, set := os.LookupEnv(proxyToken)
	switch {
	case set && o.tokenFile != "":
		return "", &usageError{fmt.Sprintf("the token is in %s and in --token-file: keep one", proxyToken)}
	case !set && o.tokenFile == "":
		return "", nil
	}
	secrets := plan.Plan{Dir: ".", Secrets: map[string]plan.Secret{"token": {Env: proxyToken, File: o.tokenFile}}}
	value, err := secrets.Secret("token", os.LookupEnv)
	if err != nil {
		return "", &usageError{err.Error()}
	}
	if strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n") {
		return "", &usageError{"the token has spaces around it or more than one line"}
	}
	return value, nil
}
