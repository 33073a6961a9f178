// Package evidence holds the statistics behind gates: what a number of samples
// can show, and what it can not; when a regression is certain while a phase
// still runs; and what may be said at the end of a bake. It knows nothing of
// gates, records or time.
//
// # Fixed numbers of samples
//
// Shares are judged by the exact binomial interval (Clopper and Pearson, "The
// use of confidence or fiducial limits illustrated in the case of the
// binomial", Biometrika 26, 1934). It is never too short, whatever the share
// and the number of samples, at the price of being a little long. Quantiles are
// judged by order statistics: a value exceeds the quantile q with probability
// 1-q, so the number of samples over a limit is binomial and no shape of the
// distribution is assumed (David and Nagaraja, Order Statistics, 3rd ed. 2003,
// section 7.1). Means are judged by Student's t over batch means: samples that
// follow one another are not independent, the means of whole seconds nearly are
// (Law and Kelton, Simulation Modeling and Analysis, section 9.5.3), and what
// they still share with their neighbours widens the interval. Several
// judgements each get a part of the allowed error (Bonferroni; see [Split]).
//
// # Looking early
//
// Who looks at a test every minute and stops at the first p-value under 5 %
// stops one healthy rollout in five. A watch ([ShareWatch], [ObjectiveWatch],
// [LatencyWatch]) is a bet instead: it begins with 1 and bets against the
// candidate at odds that are fair if nothing is wrong. What it has become, the
// e-value, does not grow on average then, so it ever reaches 20 in at most one
// of 20 healthy rollouts, however often one looks, and whenever one stops
// (Ville 1939; Ramdas, Gruenwald, Vovk and Shafer, Statistical Science 38,
// 2023).
//
// What is bet on: of all failures of ten seconds in both arms, how many are the
// candidate's? That depends on nothing but the odds ratio of the arms (Fisher's
// noncentral hypergeometric distribution): not on the share of failures, nor on
// how the traffic is split, and what slows or breaks both arms at once cancels.
// The bet is spread over ratios from 1.1 to 100, the same for whatever is
// watched. A latency is watched as three shares: of those over the p50, the p90
// and the p99 of what both arms showed before; the e-value is their average.
//
// Where both arms and a second baseline are asked the same, [PairWatch] bets on
// who it is that differs from the first, pair by pair.
//
// # What is not independent
//
// A bet as above takes requests to be independent. They are not: a slow second
// makes many slow. Three measures keep the promise. The evidence is deflated by
// how much more the counts really vary from batch to batch than those of
// independent requests would (batch means, with the covariance of neighbours);
// that can only make it smaller, so it costs no validity where they are
// independent. Before there are data to tell, requests that come together are
// feared to be dependent (Kish's design effect), and no ten seconds count for
// more than doubling the bet, twice that where dependence was seen: a burst hits
// one of two arms by chance. The price: an outage is certain after a minute and
// a half, not at once; conditions to abort a phase are there for those. What no
// test can tell from a regression is an arm that is worse for a good part of the
// run by chance, and what begins late must first win back what was lost until
// then.
//
// # The end of a bake
//
// Not to have found a difference shows nothing. A bake ([ShareBake],
// [LatencyBake]) ends as non-inferior when the data exclude that the candidate
// is worse by more than the gate allows; as inferior when they exclude that it
// is no worse and do not show the former; else it is undecided. It is beyond the
// margin, which fails it, when they exclude that it is within. Shares are
// compared by the conditional score, or by the exact binomial tail where
// failures are rare; an absolute margin by the difference of shares (Farrington
// and Manning 1990); latencies by their ranks, in strata of ten seconds (van
// Elteren 1960), or at one quantile. Variances are those seen between batches,
// never less than those of independent requests. A bake may be looked at
// several times: early looks need overwhelming evidence, the last one hardly
// more than a single look (O'Brien and Fleming 1979, in the form of Lan and
// DeMets 1983; see [Boundary]).
//
// # Planning
//
// [SamplesFor] says how many samples could show an objective, [Traffic] how long
// a watch or a bake needs to find or exclude a regression, [Spend] which part of
// its error rate a rollout gives to each wave. `make bench-gates` simulates all
// of this beside what others do.
package evidence
