package config

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

// problem is what is wrong with the value of a key, wherever the value comes from.
type problem struct{ key, text string }

// faults returns what the values of single keys must be beyond their type, and are not. It shows no URL, because that may hold
// a password.
func (s Settings) faults() []problem {
	var all []problem
	require := func(key string, right bool, text string) {
		if !right {
			all = append(all, problem{key, text})
		}
	}
	require("listenAddress", IsAddress(s.ListenAddress), show(s.ListenAddress)+` is not an address such as ":8080"`)
	require("influxURL", check.IsHTTP(s.Influx.URL), `not a URL such as "http://influxdb.monitoring:8086"`)
	require("externalCheckReportingURL", check.IsHTTP(s.ReportingURL),
		`not a URL such as "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"`)
	require("maxCompletedPodCount", s.Retention.MaxCompletedPods >= 0,
		fmt.Sprintf("%d is less than 0, which already means no pods", s.Retention.MaxCompletedPods))
	require("maxErrorPodCount", s.Retention.MaxErrorPods >= 0,
		fmt.Sprintf("%d is less than 0, which already means no pods", s.Retention.MaxErrorPods))
	for _, f := range fields {
		if age, ok := f.value(&s).(*time.Duration); ok {
			require(f.key, *age >= 0, fmt.Sprintf("%s is less than 0", *age))
		}
	}
	return all
}

// doubts returns which values are probably not what was intended.
func (s Settings) doubts() []problem {
	if check.HasReportPath(s.ReportingURL) {
		return nil
	}
	return []problem{{
		"externalCheckReportingURL",
		"does not end in " + strings.Join(check.ReportPaths(), " or ") + ", so reports are refused unless a proxy adds the path",
	}}
}

// IsAddress is true for an address on which a server can listen, such as ":8080".
func IsAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}
