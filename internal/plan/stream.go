package plan

// Stream is one test on one arm of a phase with every placeholder replaced:
// all that a traffic engine needs to know.
type Stream struct {
	Phase   string
	Arm     string // measure.Candidate or measure.Baseline
	Test    Test
	Target  Target
	Dir     string            // folder of the plan; relative paths start there
	Env     map[string]string // for scripts; the test's own env included
	Hosts   []string          // host:port that traffic may go to; nothing else is dialled
	Seed    int64
	Tenants []Identity // whom it acts as, each iteration as the next; empty for nobody
	First   uint64     // number of its first iteration: over 0 where the test was extended, and goes on

	Schedule []Scheduled // what a canary tries, and when; empty for other tests

	// Of a shadow test, which is one stream for both arms.
	Beside *Target // the baseline; nil where recorded answers take its place
	Again  *Target // what tells noise by being asked what the baseline is asked; nil where nothing does
	// ByTenant says that a gate asks for what was recorded of tenants, so that it has to
	// be measured for each.
	ByTenant bool

	Run        string   // the id of the run
	Plan       string   // the plan's name
	Control    *Control // of the harness's proxies, for what the script injects; nil where there is none
	Production *bool    // as the phase says
	Disrupt    bool     // as the phase says: disruptions are meant, though it is production
}

// Control is where orders for proxies are taken, and the token that they must
// carry. It is never written anywhere.
type Control struct{ URL, Token string }

// Settings are what the harness sends to a k6 process before it starts, and
// again whenever the headers change; those of a runner elsewhere are mounted
// from a secret, and stay as they are. They carry credentials: they are never in
// a command line, a log or a record.
type Settings struct {
	Source  string // names the process in windows and events
	Stream  Stream
	Headers map[string]string // added to every request to the target's host
}
