package check_test

import (
	"strings"
	"testing"

	"github.com/khronicle/khronicle/check"
)

func TestHideRun(t *testing.T) {
	const uuid = "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"
	hidden := strings.Repeat("*", len(uuid))
	dashless := strings.ReplaceAll(uuid, "-", "")
	tests := []struct{ name, uuid, text, want string }{
		{"twice", uuid, "a " + uuid + " b " + uuid, "a " + hidden + " b " + hidden},
		{"side by side", uuid, uuid + uuid, hidden + hidden},
		{"in capitals", uuid, "İ " + strings.ToUpper(uuid) + "!", "İ " + hidden + "!"},
		{"a UUID in capitals", strings.ToUpper(uuid), uuid, hidden},
		{"without dashes", uuid, "/run/" + dashless + "/x", "/run/" + strings.Repeat("*", len(dashless)) + "/x"},
		{"in a URN", uuid, "urn:uuid:" + uuid, "urn:uuid:" + hidden},
		{"cut at its end", uuid, "id=" + uuid[:35], "id=*************" + uuid[13:35]},
		{"cut at its beginning", uuid, uuid[1:], uuid[1:24] + "************"},
		{"cut without dashes", uuid, dashless[:31], "************" + dashless[12:31]},
		{"another UUID", uuid, "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913", "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"},
		{"no text", uuid, "", ""},
		{"no UUID", "", "abc", "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := []byte(tt.text)
			if got := string(check.HideRun(text, tt.uuid)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := check.HideRunIn(tt.text, tt.uuid); got != tt.want {
				t.Errorf("as a string got %q, want %q", got, tt.want)
			}
			if string(text) != tt.text {
				t.Errorf("the text was changed: %q", text)
			}
		})
	}
}
