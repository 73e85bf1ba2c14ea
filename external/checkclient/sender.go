package checkclient

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/khronicle/khronicle/internal/protocol"
)

// The retries of Kuberhealthy v2's client. A run is not lost if the report endpoint is away for a few seconds.
const (
	firstPause  = 500 * time.Millisecond
	pauseGrowth = 1.5
	// pauseSpread is the random part of a pause. It prevents checks that failed together from retrying together.
	pauseSpread = 0.5
	// maxElapsed is the time since the first try after which no further one is made.
	maxElapsed = 30 * time.Second
	// tryTimeout bounds one try. v2 had no bound, so an endpoint that accepted and never answered blocked a check for ever.
	tryTimeout = 10 * time.Second
	// maxDrain is how much of an answer is read so that its connection can be used again.
	maxDrain = 64 << 10
)

// sender delivers one report. Clock, sleep and random numbers are fields, so that tests do not wait.
type sender struct {
	client *http.Client
	now    func() time.Time
	sleep  func(time.Duration)
	random func() float64 // in [0, 1)
}

func newSender() sender {
	return sender{
		client: &http.Client{Timeout: tryTimeout, Transport: directly(http.DefaultTransport)},
		now:    time.Now,
		sleep:  time.Sleep,
		random: rand.Float64,
	}
}

// directly returns a copy of a transport that uses no proxy. HTTP_PROXY in a checker pod is for what it checks outside the
// cluster, and that proxy seldom knows the names of Services. A transport of the program's own type is returned unchanged.
func directly(transport http.RoundTripper) http.RoundTripper {
	known, ok := transport.(*http.Transport)
	if !ok {
		return transport
	}
	direct := known.Clone()
	direct.Proxy = nil
	return direct
}

// send posts body until it is delivered or maxElapsed is over, and returns the last try's error.
func (s sender) send(url, uuid string, body []byte) error {
	if _, err := http.NewRequest(http.MethodPost, url, nil); err != nil {
		return err // not a URL: trying again cannot help
	}
	defer s.client.CloseIdleConnections()
	start := s.now()
	for pause := firstPause; ; pause = time.Duration(float64(pause) * pauseGrowth) {
		err := s.try(url, uuid, body)
		if err == nil {
			return nil
		}
		if s.now().Sub(start) > maxElapsed {
			return err
		}
		wait := s.spread(pause)
		debug("report not delivered", "error", err.Error(), "retry_in", wait.String())
		s.sleep(wait)
	}
}

// try posts body once, with a new request each time. v2 reused one request. Its body was empty once a first answer had
// closed the connection or had a body.
func (s sender) try(url, uuid string, body []byte) error {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set(protocol.HeaderRunUUID, uuid)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	debug("report answered", "http_status", response.StatusCode)
	return statusError(response)
}

// statusError returns nil for the two answers that end the retries: 200 (stored) and 400 (permanently refused).
func statusError(response *http.Response) error {
	switch response.StatusCode {
	case http.StatusOK, http.StatusBadRequest:
		return nil
	default:
		return fmt.Errorf("bad status code from kuberhealthy status reporting url: [%d] %s ",
			response.StatusCode, response.Status)
	}
}

// spread returns a random pause, evenly distributed within pauseSpread around its argument.
func (s sender) spread(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (1 + pauseSpread*(2*s.random()-1)))
}
