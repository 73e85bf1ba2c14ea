// Package wait waits, for tests on the real thing, until a time is over or something is so.
package wait

import (
	"context"
	"net/http"
	"time"
)

const (
	// pause is the time between two questions.
	pause = 200 * time.Millisecond
	// answerWithin is how long a server may take to answer.
	answerWithin = 5 * time.Second
)

// Sleep waits for a time. It returns false if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Until asks until the answer is true. It returns false if the time is over or ctx ends first.
func Until(ctx context.Context, within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); ; {
		if ok() {
			return true
		}
		if time.Now().After(end) || !Sleep(ctx, pause) {
			return false
		}
	}
}

// Answers is true if a GET request to the address is answered 200.
func Answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}
