package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/apiclient"
)

// problem is an answer as in RFC 9457.
type problem struct {
	status int
	// parameter is the one that is wrong, or empty.
	parameter string
	detail    string
}

// Error returns what is wrong.
func (p *problem) Error() string { return p.detail }

// retryAfter is how many seconds after 503 a client should wait.
const retryAfter = 2

func wrong(parameter, value, want string) *problem {
	return &problem{http.StatusBadRequest, parameter, fmt.Sprintf("%s: %s is not %s", parameter, shorten(value), want)}
}

func notFound(format string, args ...any) *problem {
	return &problem{status: http.StatusNotFound, detail: fmt.Sprintf(format, args...)}
}

func unavailable(detail string) *problem {
	return &problem{status: http.StatusServiceUnavailable, detail: detail}
}

// shorten quotes what a client has sent.
func shorten(value string) string {
	const most = 64
	if len(value) > most {
		return strconv.QuoteToASCII(check.Cut(value, most)) + "…"
	}
	return strconv.QuoteToASCII(value)
}

// unbound finds the parameter in the error of the generated code.
var unbound = regexp.MustCompile(`^(?:Invalid format for|Query argument|Header) (?:parameter )?([A-Za-z-]+)`)

// problemOf returns the problem of an error.
func (a *API) problemOf(c echo.Context, err error) *problem {
	var known *problem
	var ofEcho *echo.HTTPError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &ofEcho) && ofEcho.Code == http.StatusBadRequest:
		if found := unbound.FindStringSubmatch(fmt.Sprint(ofEcho.Message)); found != nil {
			return wrong(found[1], c.Param(found[1]), "a value that can be read")
		}
		return &problem{status: http.StatusBadRequest, detail: "the request cannot be read"}
	case errors.As(err, &ofEcho) && ofEcho.Code == http.StatusNotFound:
		return notFound("there is no such path: see %s/openapi.yaml", Base)
	case errors.As(err, &ofEcho):
		return &problem{status: ofEcho.Code, detail: "each operation is read with GET"}
	}
	a.Logger.Error("request of the API failed", "error", err)
	return &problem{status: http.StatusInternalServerError, detail: "the answer could not be made"}
}

// writeProblem answers with a problem.
func writeProblem(c echo.Context, p *problem) error {
	body := apiclient.Problem{Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: p.detail}
	if p.parameter != "" {
		body.Parameter = &p.parameter
	}
	text, err := json.Marshal(body)
	if err != nil { // not possible: it holds nothing but texts
		return err
	}
	if p.status == http.StatusServiceUnavailable {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(retryAfter))
	}
	return c.Blob(p.status, "application/problem+json", append(text, '\n'))
}
