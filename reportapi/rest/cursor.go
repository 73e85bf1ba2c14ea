package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/khronicle/khronicle/view"
)

// encodeCursor makes the cursor of the next page, which clients do not read. A page without a next one has none.
func encodeCursor[T any](next *T) *string {
	if next == nil {
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil { // not possible: positions are texts and times
		return nil
	}
	return new(base64.RawURLEncoding.EncodeToString(text))
}

// decodeCursor is the inverse of encodeCursor. No cursor is the zero value.
func decodeCursor[T any](cursor *string) (position T, err error) {
	if cursor == nil {
		return position, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(*cursor)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&position)
	}
	if err != nil {
		return position, wrong("cursor", *cursor, "the cursor of another page of this operation")
	}
	return position, nil
}

// runCursor is the position of a run. Without a text, it is the beginning.
type runCursor struct {
	Run string `json:"run"`
}

func (c runCursor) position() (view.RunID, error) {
	if c.Run == "" {
		return view.RunID{}, nil
	}
	id, err := view.ParseRunID(c.Run)
	if err != nil {
		return view.RunID{}, wrong("cursor", c.Run, "the cursor of another page of this operation")
	}
	return id, nil
}
