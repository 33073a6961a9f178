// Package telemetry asks the monitoring of the system under test what it saw
// while a phase runs, and turns the answers into windows and events.
//
//	plan.Observation -> New -> Run
//	    each query, on each arm it is about:
//	        ask      the steps since the last answer, once they have arrived
//	        read     series of points, or why there are none
//	        count    values as they are, or what counters grew by
//	        emit     windows of the query's metric
//	    alerts: the same, with ALERTS of a Prometheus, as events
//
// Nothing is made up: a step without a value has no window, so that gates see
// the gap; a question that got no answer is asked again for the same time, so
// that an outage of the monitoring's API leaves no gap if the data is there.
// What went wrong is told in warnings, each kind once.
package telemetry
