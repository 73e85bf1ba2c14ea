// Package httpcheck is the check that sends HTTP requests to one URL and compares the answers with what is expected. It never
// sends a report: its caller does.
package httpcheck

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

// Config says which requests to send and which answers to expect. FromEnv documents the variables and defaults.
type Config struct {
	// URL receives the requests.
	URL *url.URL
	// Method and Body are the method and the body of each request.
	Method, Body string
	// WantStatus are the status codes that pass.
	WantStatus []int
	// WantText must be in the answer's body. Empty means any body.
	WantText string
	// Count is how many requests are sent. Pause is the time between two requests.
	Count int
	Pause time.Duration
	// PassingPercent is how many of a hundred requests must pass for the check to pass.
	PassingPercent int
}

// FromEnv reads the configuration. The names are those of Kuberhealthy's http-check. TARGET_STRING is from its
// http-content-check:
//
//	CHECK_URL             the URL; required
//	REQUEST_TYPE          the method (GET)
//	REQUEST_BODY          the request's body
//	EXPECTED_STATUS_CODE  one or several, separated by commas (200)
//	TARGET_STRING         text that the answer's body must contain
//	COUNT                 number of requests (1)
//	SECONDS               whole seconds between two requests (0)
//	PASSING_PERCENT       how many of a hundred requests must pass (100)
func FromEnv(env *settings.Env) Config {
	return Config{
		URL:            target(env),
		Method:         method(env),
		Body:           env.String("REQUEST_BODY", ""),
		WantStatus:     wantStatus(env),
		WantText:       env.String("TARGET_STRING", ""),
		Count:          env.Int("COUNT", 1, 1, 10000),
		Pause:          time.Duration(env.Int("SECONDS", 0, 0, 86400)) * time.Second,
		PassingPercent: env.Int("PASSING_PERCENT", 100, 1, 100),
	}
}

func target(env *settings.Env) *url.URL {
	const name = "CHECK_URL"
	target, err := url.Parse(env.String(name, ""))
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		env.Reject(name, "a URL such as http://shop.default.svc.cluster.local/healthz")
		return &url.URL{}
	}
	return target
}

func method(env *settings.Env) string {
	const name = "REQUEST_TYPE"
	method := strings.ToUpper(env.String(name, http.MethodGet))
	if _, err := http.NewRequest(method, "http://localhost", nil); err != nil {
		env.Reject(name, "an HTTP method such as GET or POST")
	}
	return method
}

func wantStatus(env *settings.Env) []int {
	const name = "EXPECTED_STATUS_CODE"
	codes := []int{}
	for _, text := range env.List(name) {
		code, err := strconv.Atoi(text)
		if err != nil || code < 100 || code > 599 {
			env.Reject(name, "status codes such as 200 or 200,204")
			return nil
		}
		codes = append(codes, code)
	}
	if len(codes) == 0 {
		return []int{http.StatusOK}
	}
	return codes
}
