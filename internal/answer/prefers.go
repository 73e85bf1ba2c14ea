package answer

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// PrefersHTML is true if the client names text/html in Accept, with a quality above 0 and not below that of JSON. Programs
// send no such header, so they get JSON.
func PrefersHTML(client http.Header) bool {
	accept := qualities(client)
	html, named := accept["text/html"]
	if !named || html == 0 {
		return false
	}
	for _, json := range []string{"application/json", "application/*", "*/*"} { // the most specific one counts
		if quality, named := accept[json]; named {
			return html >= quality
		}
	}
	return true
}

// qualities reads Accept: from 0 to 1 for each media range. What cannot be read is left out.
func qualities(client http.Header) map[string]float64 {
	all := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(client.Values("Accept"), ","), ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if text, weighted := parameters["q"]; weighted {
			if quality, err = strconv.ParseFloat(text, 64); err != nil || !(quality >= 0 && quality <= 1) {
				continue
			}
		}
		all[media] = max(all[media], quality)
	}
	return all
}
