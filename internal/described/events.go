package described

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// schemas are those of the data of each kind of event.
var schemas = map[string]string{"changed": "Check", "deleted": "CheckName"}

// events reads a stream of events, and fails the test on one that is not as described.
type events struct {
	Reporter
	request *http.Request
	// rest is the beginning of an event whose end has not come yet.
	rest []byte
}

func (e *events) write(part []byte) {
	e.rest = append(e.rest, part...)
	for {
		block, rest, ended := bytes.Cut(e.rest, []byte("\n\n"))
		if !ended {
			return
		}
		e.rest = rest
		if err := event(string(block)); err != nil {
			e.Errorf("%s: event is not as described: %v\n%s", e.request.URL, err, block)
		}
	}
}

// event returns what is wrong with the lines of an event, a comment or a setting.
func event(block string) error {
	fields := map[string]string{}
	for line := range strings.SplitSeq(block, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		fields[name] = value
	}
	name := fields["event"]
	if name == "" && fields["data"] == "" {
		return nil
	}
	if fields["id"] == "" {
		return fmt.Errorf("it has no id")
	}
	if name == "refresh" && fields["data"] == "{}" {
		return nil
	}
	doc, err := Document()
	if err != nil {
		return err
	}
	schema := doc.Components.Schemas[schemas[name]]
	if schema == nil {
		return fmt.Errorf("there is no event %q with such data", name)
	}
	var data any
	if err := json.Unmarshal([]byte(fields["data"]), &data); err != nil {
		return err
	}
	return schema.Value.VisitJSON(data)
}
