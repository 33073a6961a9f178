package plan

// Tenants are synthetic customers that tests act as, so that each customer's
// share of the system is asked, and never mistaken for a real one.
type Tenants struct {
	File   string `yaml:"file" jsonschema:"required"` // YAML or CSV, as docs/tenants.md says
	Header string `yaml:"header"`                     // marks all that they send, with the name of the tenant; default X-Synthetic-Tenant
	Prefix string `yaml:"prefix"`                     // begins the names of what they create; default synthetic-
}

// Tenant is one of them, as its file says it.
type Tenant struct {
	Name    string            `yaml:"name" jsonschema:"required"` // unlike that of any other
	Class   string            `yaml:"class,omitempty"`            // such as a quota or a price
	Cell    string            `yaml:"cell,omitempty"`             // the part of the system that serves it
	Region  string            `yaml:"region,omitempty"`           // where that is
	Headers map[string]string `yaml:"headers,omitempty"`          // that it is known by; no credentials
	Token   *Secret           `yaml:"token,omitempty"`            // what it shows, as Authorization: Bearer
}

// Identity is a tenant as traffic acts as it.
type Identity struct {
	Name, Class, Cell, Region string
	Prefix                    string            // of what it creates
	Marks                     map[string]string // headers of everything that it sends
	Headers                   map[string]string // for the target alone; with credentials
	Token                     string            // "" for none; in Headers, too
}

const (
	defaultTenantHeader = "X-Synthetic-Tenant"
	defaultTenantPrefix = "synthetic-"
)
