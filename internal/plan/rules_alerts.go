package plan

import (
	"net"
	"strings"
)

// validAlerts wants an address that can be listened on, and a token where
// others than this machine can reach it.
func validAlerts(c *checker, p *Plan) {
	if p.Alerts == nil {
		return
	}
	at, a := c.under("alerts"), *p.Alerts
	at.reference("from", a.From, "source", "telemetry", named(p.Telemetry))
	if at.given("from") && at.clean("from") && p.Telemetry[a.From].Prometheus == "" {
		at.wrong("from", "only Prometheus can; or let it send them: leave from: out", "%s can not be asked for alerts", shorten(a.From))
	}
	if at.given("listen") && !validListen(a.Listen) {
		at.wrong("listen", "", "listen wants an address such as 127.0.0.1:9095; got %q", shorten(a.Listen))
	}
	if at.given("token") && !strings.Contains(a.Token, "${secrets.") {
		at.wrong("token", "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
	}
	if at.given("listen") && at.clean("listen") && !at.given("token") && !loopback(a.Listen) {
		at.wrong("listen", "set token:, or listen on 127.0.0.1", "whoever reaches %s could send alerts", a.Listen)
	}
}

func loopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	return loopbackHost(host)
}

// loopbackHost reports whether what is sent to a host stays on this machine.
func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
