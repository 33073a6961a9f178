package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func loadCanary(t *testing.T) Plan {
	t.Helper()
	p, err := Load("testdata/valid/canary.yaml", options())
	require.NoError(t, err)
	return p
}

// A loaded plan holds all that its canary leaves out.
func TestCanaryDefaults(t *testing.T) {
	p := loadCanary(t)
	c := p.Canary
	require.Empty(t, p.Phases)
	require.Equal(t, CanaryTask{Exec: "look", Every: Duration(10 * time.Second), Timeout: Duration(10 * time.Second), Tries: 1, Wait: Duration(time.Second)}, c.Transactions["browse"])
	require.Equal(t, CanaryTask{
		Exec: "order", Every: Duration(time.Minute), Timeout: Duration(20 * time.Second), Tries: 3,
		Wait: Duration(2 * time.Second), Slow: Duration(5 * time.Second), Tenants: Names{"class=gold"},
	}, c.Transactions["order"])
	require.Equal(t, Duration(15*time.Second), c.Health.Every)
	require.Equal(t, Heartbeat{Duration(5 * time.Second), Duration(time.Second)}, c.Heartbeats["export"])
	require.Equal(t, Triggers{{Row: 3}, {Some: 5, Of: 20}, {Burn: "orders"}}, c.Alerts["orders"].Open)
	rest := c.Alerts["rest"]
	require.Equal(t, Triggers{{Row: 4}}, rest.Open, "one alone needs no brackets")
	require.Equal(t, Trigger{Row: 3}, rest.Close)
	require.Equal(t, "cell", rest.By)
	require.Equal(t, Duration(48*time.Hour), rest.Quiet, "twice the day of the backup, which it is about, too")
	require.Equal(t, "https://events.pagerduty.com", c.Receivers["pager"].PagerDuty.URL)
	require.Equal(t, "application/json", c.Receivers["hook"].Webhook.Type)
	require.Equal(t, time.Date(2027, 1, 1, 1, 0, 0, 0, time.UTC), time.Time(c.Maintenance[0].To))
	require.Equal(t, 2, c.Location.Quorum, "more than half of three")
	require.Equal(t, CanaryKeep{Retention(12 * time.Hour), 14 * day, 730 * day}, c.Keep)

	p, err := Load("testdata/valid/canary-in-phase.yaml", options())
	require.NoError(t, err)
	require.Equal(t, 20, p.Canary.VUs)
	require.Nil(t, p.Canary.Serve)
}

// Secrets are filled in for whoever delivers, and an error says which one is
// missing and never what another holds.
func TestBindCanary(t *testing.T) {
	p := loadCanary(t)
	p.Dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "pager.key"), []byte("route\n"), 0o600))
	vars := map[string]string{"CANARY_TOKEN": "sesame", "SLACK_URL": "https://hooks.slack.com/services/T/B/X", "HOOK": "hook"}
	c, err := p.BindCanary(env(vars))
	require.NoError(t, err)
	require.Equal(t, "route", c.Receivers["pager"].PagerDuty.Key)
	require.Equal(t, vars["SLACK_URL"], c.Receivers["chat"].Slack.URL)
	require.Equal(t, "Bearer hook", c.Receivers["hook"].Webhook.Headers["Authorization"])
	require.Equal(t, []string{"sesame", "sesame"}, []string{c.Location.Token, c.Serve.Token})
	require.Equal(t, p.Canary.Maintenance, c.Maintenance)
	require.Equal(t, p.Canary.Alerts, c.Alerts)
	require.Equal(t, "${secrets.token}", p.Canary.Serve.Token, "the plan itself holds none")

	delete(vars, "SLACK_URL")
	_, err = p.BindCanary(env(vars))
	require.ErrorContains(t, err, `canary: receivers: chat: slack: url: nothing is known for the placeholder ${secrets.slack}: the secret "slack" is empty: put it into the environment variable SLACK_URL`)
	require.NotContains(t, err.Error(), "sesame")
}

func TestCanaryStream(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"tenants.csv": sameTenants, "s.js": "", "globex.token": "of-globex", "plan.yaml": `
name: shop
env: {REGION: eu, PAYMENTS: "${dependencies.payments.url}"}
secrets: {key: {env: KEY}}
services: {shop: {command: ./shop}}
targets:
  shop: {url: "${services.shop.url}/", headers: {X-Key: "${secrets.key}"}}
  other: {url: "http://127.0.0.1:2"}
dependencies: {payments: {upstream: "http://127.0.0.1:3"}}
tenants: {file: tenants.csv}
canary:
  target: shop
  script: s.js
  vus: 7
  env: {REGION: us, KEY: "${secrets.key}"}
  tenants: [region=eu, region=us]
  transactions:
    order: {every: 1m, timeout: 40s}
    gold: {exec: order, every: 10s, tenants: [class=gold, cell=us-1]}
`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	p, err := Load(filepath.Join(dir, "plan.yaml"), Options{Getenv: env(nil)})
	require.NoError(t, err)
	getenv := env(map[string]string{"ACME": "of-acme", "KEY": "sesame"})
	services := env(map[string]string{"services.shop.url": "http://127.0.0.1:1"})
	s, err := p.CanaryStream(getenv, services)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:1", s.Target.URL)
	require.Equal(t, "sesame", s.Target.Headers["X-Key"])
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, s.Hosts)
	require.Equal(t, map[string]string{"REGION": "us", "KEY": "sesame", "PAYMENTS": "http://127.0.0.1:3"}, s.Env)
	require.Equal(t, []string{"canary", "", "candidate", "shop", dir}, []string{s.Test.Name, s.Phase, s.Arm, s.Plan, s.Dir})
	kind, profile := s.Test.Kind()
	require.Equal(t, "canary", kind)
	require.Equal(t, "s.js", profile.Script)
	require.Equal(t, 7, profile.VUs)
	require.Equal(t, Duration(40*time.Second), profile.Grace, "what was begun last may take its timeout")
	require.Len(t, s.Tenants, 3)
	require.Equal(t, "of-acme", s.Tenants[0].Token)
	require.Len(t, s.Schedule, 2)
	require.Equal(t, []string{"gold", "order"}, []string{s.Schedule[0].Name, s.Schedule[0].Exec})
	require.Equal(t, []Identity{{Name: "globex", Class: "gold", Cell: "us-1", Region: "us"}}, s.Schedule[0].As)
	require.Len(t, s.Schedule[1].As, 3)

	// Confined to one cell, one of the transactions has nobody left.
	confined, err := p.CanarySchedule(Names{"cell=eu-1"})
	require.NoError(t, err)
	require.Len(t, confined, 1)
	require.Len(t, confined[0].As, 2)

	_, err = p.CanaryStream(getenv, nil)
	require.ErrorContains(t, err, "target shop: url: nothing is known for the placeholder ${services.shop.url}")
	_, err = p.CanaryStream(env(map[string]string{"ACME": "x"}), services)
	require.ErrorContains(t, err, `the secret "key" is empty`)

	p.Canary.Tenants, p.Canary.Transactions = nil, map[string]CanaryTask{"order": p.Canary.Transactions["order"]}
	as, err := p.CanaryTenants(nil)
	require.NoError(t, err)
	require.Equal(t, map[string][]Identity{"order": nil}, as, "nobody is somebody to try it as")
}

// A test of the kind canary has the traffic of the plan's, and fewer tenants.
func TestCanaryInPhase(t *testing.T) {
	p, err := Load("testdata/valid/canary-in-phase.yaml", options())
	require.NoError(t, err)
	test := p.Phases[0].Tests[0]
	kind, profile := test.Kind()
	require.Equal(t, KindCanary, kind)
	require.Equal(t, "built-in.js", profile.Script)
	require.Equal(t, 11*time.Minute, profile.Length())
	require.True(t, profile.Closed())
	all, err := p.Identities(test, env(map[string]string{"ACME_TOKEN": "x"}))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "acme", all[0].Name)

	was := Traffic(p.Phases[0], p.Dir)
	task := p.Canary.Transactions["order"]
	task.Every *= 2
	p.Canary.Transactions["order"] = task
	p.Phases[0].fillCanary(p.Canary)
	require.NotEqual(t, was, Traffic(p.Phases[0], p.Dir), "another schedule is other traffic")
}

func TestCanaryWords(t *testing.T) {
	for text, want := range map[string]Trigger{
		"3 in a row": {Row: 3}, " 5 of  20 ": {Some: 5, Of: 20}, "2 of 2": {Some: 2, Of: 2}, "burn orders": {Burn: "orders"},
		"0 in a row": {}, "3 in row": {}, "5 of 4": {}, "1 of 1": {}, "1 of 10001": {}, "burn": {}, "burn a b": {}, "": {}, "x of y": {},
	} {
		var got Trigger
		if err := got.UnmarshalText([]byte(text)); want == (Trigger{}) {
			require.Error(t, err, "%q", text)
		} else {
			require.NoError(t, err)
			require.Equal(t, strings.Join(strings.Fields(text), " "), got.String())
		}
		require.Equal(t, want, got, "%q", text)
	}
	for text, want := range map[string]string{"400d": "400d", "36h": "36h", "48h": "2d", "90m": "1h30m", "0s": "0s", "3650d": "3650d"} {
		var got Retention
		require.NoError(t, got.UnmarshalText([]byte(text)))
		require.Equal(t, want, got.String())
	}
	for _, text := range []string{"3651d", "70000d", "-1d", "1.5y", "", "31d12h"} {
		require.Error(t, new(Retention).UnmarshalText([]byte(text)), "%q", text)
	}
	for _, text := range []string{"2026-12-31", "2026-12-31T22:00:00", "2026-12-31T22:00:00.5Z", "9999-12-31T23:59:59-05:00", "1999-12-31T23:59:59Z", ""} {
		require.Error(t, new(Instant).UnmarshalText([]byte(text)), "%q", text)
	}
}

// What a body's template may call does what it says.
func TestWebhookTemplate(t *testing.T) {
	body, err := Webhook{Body: `{"text": {{json .Text}}, "at": "{{time .At}}"}`}.Template()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, body.Execute(&out, map[string]any{"Text": `a "b"`, "At": int64(1_700_000_000_000_000_000)}))
	require.JSONEq(t, `{"text": "a \"b\"", "at": "2023-11-14T22:13:20Z"}`, out.String())
	require.Error(t, body.Execute(&out, map[string]any{"At": int64(0)}), "what the notice does not have is no empty text")
}
