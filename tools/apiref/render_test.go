package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const small = `
paths:
  /checks/{name}:
    parameters: [{$ref: "#/components/parameters/Name"}]
    get:
      summary: Get a check
      description: "It is one. A | stays in its cell."
      parameters:
        - {name: limit, in: query, description: How | many., schema: {type: integer, minimum: 1, maximum: 500}}
        - {name: namespace, in: query, schema: {type: array, maxItems: 9, items: {type: string, maxLength: 63}}}
      responses:
        "200": {description: The check., content: {application/json: {schema: {$ref: "#/components/schemas/Check"}}}}
        "404": {$ref: "#/components/responses/None"}
components:
  parameters: {Name: {name: name, in: path, schema: {type: string}}}
  responses: {None: {description: There is none.}}
  schemas:
    Zone: {type: string, enum: [a, b]}
    Check:
      required: [zone]
      properties: {zone: {$ref: "#/components/schemas/Zone"}, labels: {type: object, additionalProperties: {type: string}}, since: {type: string, format: date-time}}
`

func TestReferenceHasOperationsAndObjects(t *testing.T) {
	got, err := render([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- [`/checks/{name}`](#get-checksname): get a check\n", "## GET /checks/{name}\n\nGet a check.\n",
		"| `name` | path | text |  |\n", "| `limit` | query | whole number from 1 to 500 | How \\| many. |\n",
		"| `namespace` | query | up to 9 times: text, at most 63 characters |  |\n",
		"| 200 | [Check](#check), `application/json` | The check. |\n", "| 404 |  | There is none. |\n",
		"### Zone\n\nOne of `a`, `b`.\n", "| `zone` | [Zone](#zone) |  |\n", "| `labels` | names with text, may be absent |  |\n",
		"| `since` | time, may be absent |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %q:\n%s", want, got)
		}
	}
	if strings.Index(got, "### Zone") > strings.Index(got, "### Check") {
		t.Error("objects are not in the order of the description")
	}
}

// What cannot be shown is an error, so that the reference is never silently incomplete.
func TestWhatCannotBeShownIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":               "{",
		"no paths":              "components: {}",
		"an unknown parameter":  strings.Replace(small, "parameters/Name", "parameters/None", 1),
		"an unknown response":   strings.Replace(small, "responses/None", "responses/Nothing", 1),
		"an unknown type":       strings.Replace(small, "type: integer", "type: decimal", 1),
		"a list as a mapping":   "paths: []",
		"an object of any kind": strings.Replace(small, "type: object, additionalProperties: {type: string}", "type: object", 1),
	} {
		if page, err := render([]byte(text)); err == nil {
			t.Errorf("%s: no error, and the page\n%s", name, page)
		}
	}
	if err := run([]string{filepath.Join(t.TempDir(), "none"), "x"}); err == nil {
		t.Error("a description that is not there is no error")
	}
	if err := run(nil); err == nil {
		t.Error("no arguments are no error")
	}
}

func TestReferenceOfTheDescriptionIsWritten(t *testing.T) {
	to := filepath.Join(t.TempDir(), "reference.md")
	if err := run([]string{"../../api/openapi.yaml", to}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	if err != nil || !strings.Contains(string(text), "## GET /checks/{namespace}/{name}/runs\n") {
		t.Errorf("error %v, the page is\n%s", err, text)
	}
}
