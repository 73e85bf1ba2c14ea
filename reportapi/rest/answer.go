package rest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/internal/answer"
)

// answered is what is written when the turn of its request is over.
type answered struct {
	contentType string
	body        []byte
	etag        string
	packed      bool
}

const answerKey = "answer"

// ok makes an answer of a value as JSON.
func ok(c echo.Context, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return okText(c, echo.MIMEApplicationJSON, append(body, '\n'))
}

// okText makes an answer of a text. It is compressed here, because that belongs to the turn of the request.
func okText(c echo.Context, contentType string, body []byte) error {
	made := answered{contentType: contentType, body: body, etag: answer.ETag(body)}
	if client := c.Request().Header; !answer.Matches(client, made.etag) {
		var err error
		if made.body, made.packed, err = answer.Pack(client, body); err != nil {
			return fmt.Errorf("compress answer: %w", err)
		}
	}
	c.Set(answerKey, made)
	return nil
}

// write writes the answer that a context has. 304: the client has it. 200: otherwise.
func write(c echo.Context) error {
	made, isAnswer := c.Get(answerKey).(answered)
	if !isAnswer {
		return fmt.Errorf("no answer to %s", c.Path())
	}
	header := c.Response().Header()
	header.Set("ETag", made.etag)
	header.Set(echo.HeaderCacheControl, "no-cache")
	header.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	if answer.Matches(c.Request().Header, made.etag) {
		return c.NoContent(http.StatusNotModified)
	}
	if made.packed {
		header.Set(echo.HeaderContentEncoding, "gzip")
	}
	return c.Blob(http.StatusOK, made.contentType, made.body)
}
