// Package run conducts a run: it takes a plan, and for each of its phases
// starts the services, puts proxies in front of the dependencies, sends the
// traffic, injects and lifts the disruptions, and leaves a record from which
// everything else is computed. It decides nothing about pass or fail.
//
// The whole pipeline:
//
//	plan.Load -> Conductor.Run
//	    for each phase:
//	        bind       ports are chosen, placeholders replaced
//	        hear       alerts and acknowledgements are taken from now on
//	        proxies    one for each dependency
//	        services   started in order, each ready before the next
//	        before     the phase's own command
//	        prepare    each disruption finds out whether it could be injected
//	        preflight  can the target be reached at all?
//	        tests      all streams side by side, each a Traffic
//	        schedule   when each disruption is due; several may be in effect
//	        disrupt    one injection, lifted when its time is over
//	        observe    queries are put to the monitoring meanwhile
//	        extend     the tests once more, if there was too little evidence
//	        after, services stopped, proxies closed: on every path
//	    batches -> Recorder (durable) and Listener (the live view)
//	-> store.Record -> gates.Judge -> report
//
// What happens is told in events: a test began when its engine says so, not
// when the plan hoped for it, and a disruption's period is from the moment it
// was in effect to the moment it was lifted. Lifting comes first on every way
// out, with a context of its own, so that an interrupt can not prevent it.
//
// Nothing outlives a run. What would is in its [Journal] before it is done, and
// a second process, which runs [Lifter.Watch], undoes what is there should this
// one die: see [Guard]. So does `resilience lift`, later.
//
// Traffic, proxies, disruptions and questions to the monitoring are made by the [Adapters]; this package
// knows none of them.
package run
