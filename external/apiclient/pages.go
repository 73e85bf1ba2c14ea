package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Error returns the status and what is wrong. A Problem is an error that errors.As finds in those of Decode, Checks, Runs and
// Changes.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// Decode reads the answer to a request of a Client, and closes it. The error of an answer that is a problem is a *Problem.
//
//	check, err := apiclient.Decode[apiclient.Check](client.GetCheck(ctx, "shop", "checkout", nil))
func Decode[T any](response *http.Response, err error) (value T, _ error) {
	if err != nil {
		return value, fmt.Errorf("ask the API: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return value, fmt.Errorf("read the answer of the API: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return value, problemOf(response, body)
	}
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("read the answer of the API: %w", err)
	}
	return value, nil
}

// problemOf returns the problem in an answer. Proxies have answers of their own.
func problemOf(response *http.Response, body []byte) error {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Status == 0 {
		p = &Problem{Type: "about:blank", Title: http.StatusText(response.StatusCode), Status: response.StatusCode, Detail: "the answer is not that of the API"}
	}
	return p
}

// Checks returns all checks and jobs that the parameters choose, page by page. It ends after the first error.
func (c *Client) Checks(ctx context.Context, params ListChecksParams) iter.Seq2[Check, error] {
	return pages(func(cursor *string) ([]Check, *string, error) {
		if cursor != nil {
			params.Cursor = cursor
		}
		list, err := Decode[CheckList](c.ListChecks(ctx, &params))
		return list.Items, list.Next, err
	})
}

// Runs returns all ticks and runs of a check that the parameters choose, the newest first, page by page. It ends after the
// first error.
func (c *Client) Runs(ctx context.Context, namespace, name string, params ListRunsParams) iter.Seq2[Run, error] {
	return pages(func(cursor *string) ([]Run, *string, error) {
		if cursor != nil {
			params.Cursor = cursor
		}
		list, err := Decode[RunList](c.ListRuns(ctx, namespace, name, &params))
		return list.Items, list.Next, err
	})
}

func pages[T any](read func(cursor *string) ([]T, *string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := (*string)(nil); ; {
			items, next, err := read(cursor)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = next; cursor == nil {
				return
			}
		}
	}
}

// IsNotFound is true for the error of a check, job or run that does not exist.
func IsNotFound(err error) bool {
	p := (*Problem)(nil)
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}
