package shadow

import "bytes"

// envoyText takes apart a line in the format that Envoy has unless it is told another, or
// in that of Istio, which has three words more, and gives what it says by the names that
// the formats in JSON have; nil where it is no such line
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage,
// https://istio.io/latest/docs/tasks/observability/logs/access-log/).
func envoyText(line []byte) map[string]any {
	if !bytes.HasPrefix(line, []byte("[")) {
		return nil
	}
	words, kinds, ok := logWords(string(line))
	if !ok || len(words) < 12 || kinds[1] != '"' {
		return nil
	}
	rest, enclosed := words[4:], kinds[4:]
	if !isCount(rest[0]) {
		rest, enclosed = rest[3:], enclosed[3:]
	}
	if len(rest) < 8 || !isCount(rest[0]) || !isCount(rest[1]) || enclosed[4] != '"' || enclosed[7] != '"' {
		return nil
	}
	entry := logEntry{line: words[1]}
	if _, ok := momentOf(words[0]); !ok || entry.request() != "" {
		return nil
	}
	all := map[string]any{
		"start_time": words[0], "method": entry.x.Request.Method, "path": entry.x.Request.Target, "authority": entry.x.Request.Host,
		"response_code": words[2], "response_flags": words[3], "bytes_received": rest[0], "bytes_sent": rest[1], "duration": rest[2],
	}
	for i, name := range map[int]string{4: "x_forwarded_for", 5: "user_agent", 7: "authority"} {
		if rest[i] != "-" && rest[i] != "" {
			all[name] = rest[i]
		}
	}
	return all
}

func isCount(text string) bool {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return false
		}
	}
	return text != ""
}
