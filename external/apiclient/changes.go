package apiclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Change is one event of the stream of changes. One of its fields is set.
type Change struct {
	// Refresh is true when the checks must be listed again: at the beginning, or after something was missed.
	Refresh bool
	// Changed is a check or job that is new or different.
	Changed *Check
	// Deleted is a check or job that was deleted.
	Deleted *CheckName
}

const (
	// reconnectAfter is the pause before a stream is opened again.
	reconnectAfter = 2 * time.Second
	// maxEvent bounds one line of a stream, in bytes.
	maxEvent = 4 << 20
)

// Changes returns what changes, until ctx ends. When the stream ends, it is opened again where it ended. It ends with the error
// of ctx, or with a *Problem that another try cannot solve.
func (c *Client) Changes(ctx context.Context, params StreamChangesParams) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for {
			err := c.stream(ctx, &params, func(change Change) bool { return yield(change, nil) })
			p := (*Problem)(nil)
			switch {
			case errors.Is(err, errEnough):
				return
			case ctx.Err() != nil:
				yield(Change{}, ctx.Err())
				return
			case errors.As(err, &p) && p.Status >= 400 && p.Status < 500 && p.Status != http.StatusTooManyRequests:
				yield(Change{}, err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(reconnectAfter):
			}
		}
	}
}

// errEnough is the error of a reader that has left its loop.
var errEnough = errors.New("enough")

// stream reads one stream to its end.
func (c *Client) stream(ctx context.Context, params *StreamChangesParams, found func(Change) bool) error {
	response, err := c.StreamChanges(ctx, params)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxEvent)) // without its body it is a problem too
		return problemOf(response, body)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEvent)
	var id, name string
	var data bytes.Buffer
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && name != "":
			change, err := changeOf(name, data.Bytes())
			if err != nil {
				return err
			}
			if last := id; last != "" {
				params.LastEventID = &last
			}
			if !found(change) {
				return errEnough
			}
			id, name = "", ""
			data.Reset()
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			data.WriteString(value)
		}
	}
	return lines.Err()
}

func changeOf(name string, data []byte) (change Change, err error) {
	switch name {
	case "refresh":
		change.Refresh = true
	case "changed":
		err = json.Unmarshal(data, &change.Changed)
	case "deleted":
		err = json.Unmarshal(data, &change.Deleted)
	}
	if err != nil {
		return change, fmt.Errorf("read the event %s: %w", name, err)
	}
	return change, nil
}
