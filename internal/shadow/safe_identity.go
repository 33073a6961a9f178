package shadow

import (
	"maps"
	"net/http"
	"slices"
)

// identityHeaders are those by which gateways tell a service who asks, and which it takes
// at their word. With the user's own a write would be one of the user, whatever token the
// tenant shows.
var identityHeaders = setOf(
	"X-User", "X-User-Id", "X-Userid", "X-User-Name", "X-Username", "X-User-Email", "X-Customer-Id", "X-Account-Id", "X-Member-Id",
	"X-Tenant", "X-Tenant-Id", "X-Org-Id", "X-Organization-Id",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Request-Email", // oauth2-proxy
	"X-Consumer-Id", "X-Consumer-Custom-Id", "X-Consumer-Username", "X-Authenticated-Userid", // Kong
	"Remote-User", "X-Remote-User", "X-Webauth-User", // web servers
	"X-Goog-Authenticated-User-Id", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity",
	"X-Ms-Client-Principal", "X-Ms-Client-Principal-Id", "X-Ms-Client-Principal-Name",
)

// identityOf is the first header of a request by which it is the user's, where a tenant
// has no value for it; "" for none.
func (l *ladder) identityOf(h http.Header) string {
	own := func(name string) bool {
		for _, headers := range []map[string]string{l.tenant.Headers, l.tenant.Marks} {
			for known := range headers {
				if http.CanonicalHeaderKey(known) == name {
					return true
				}
			}
		}
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if identityHeaders[name] && !own(name) {
			return name
		}
	}
	return ""
}
