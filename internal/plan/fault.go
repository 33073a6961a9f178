package plan

// Fault names the fault of a disruption and gives the share of the matching
// requests that it should touch, from 0 to 1.
func (d Disruption) Fault() (kind string, share float64) {
	switch {
	case d.Latency != nil:
		return "latency", float64(d.Latency.Share)
	case d.Error != nil:
		return "error", float64(d.Error.Share)
	}
	return "", 0
}
