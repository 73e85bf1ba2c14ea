package main

import "strings"

// Selectors, by the text that stands for them in a query.
//
// CHECKS selects metrics of checks and jobs. Their label check is namespace/name, in counters of jobs namespace/ alone.
// ROLES selects metrics of the processes.
var selectors = strings.NewReplacer(
	"CHECKS", `job=~"$job",check=~"$namespace/.*",check=~"$check"`,
	"ROLES", `job=~"$job"`,
)

// series is a query with the selectors filled in.
func series(expr, legend string) query { return query{expr: selectors.Replace(expr), legend: legend} }

// quantiles are the median and the 99th percentile of a histogram.
func quantiles(histogram, selector string) []query {
	return []query{quantile("0.5", "p50", histogram, selector), quantile("0.99", "p99", histogram, selector)}
}

func quantile(of, legend, histogram, selector string) query {
	return series(`histogram_quantile(`+of+`, sum by (le) (rate(`+histogram+`_bucket{`+selector+`}[$__rate_interval])))`, legend)
}

// quantileBy is the 99th percentile of a histogram of the roles for each value of a label.
func quantileBy(label, histogram string) query {
	return series(`histogram_quantile(0.99, sum by (le, `+label+`) (rate(`+histogram+`_bucket{ROLES}[$__rate_interval])))`, "{{"+label+"}}")
}

// perMinute is how often something is counted in a minute, for each value of a label.
func perMinute(label, counter, selector string) query {
	return series(`60 * sum by (`+label+`) (rate(`+counter+`{`+selector+`}[$__rate_interval]))`, "{{"+label+"}}")
}

// perSecond is how often something is counted in a second, for each value of a label.
func perSecond(label, counter, selector string) query {
	return series(`sum by (`+label+`) (rate(`+counter+`{`+selector+`}[$__rate_interval]))`, "{{"+label+"}}")
}

// failing are the checks that are not OK and not unknown, as in the alert KhronicleCheckFailing.
const failing = `(min by (check) (kuberhealthy_check{CHECKS}) == 0
	unless on (check) max by (check) (khronicle_check_unknown{workload="KHCheck",CHECKS}) == 1)`

// of returns a list of one query.
func of(q ...query) []query { return q }
