package check_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/khronicle/khronicle/check"
)

func TestPodName(t *testing.T) {
	// The first ten hexadecimal digits of the SHA-256 of runUUID.
	const id = "4b3626f183"
	tests := []struct {
		name    string
		check   string
		attempt int
		want    string
	}{
		{"first attempt", "dns", 1, "dns-" + id},
		{"no attempt counted", "dns", 0, "dns-" + id},
		{"second attempt", "dns", 2, "dns-" + id + "-2"},
		{"tenth attempt", "dns", 10, "dns-" + id + "-10"},
		{"longest name that fits", strings.Repeat("a", 52), 1, strings.Repeat("a", 52) + "-" + id},
		{"long name is cut", strings.Repeat("a", 53), 1, strings.Repeat("a", 52) + "-" + id},
		{"long name is cut for the attempt", strings.Repeat("a", 63), 2, strings.Repeat("a", 50) + "-" + id + "-2"},
		{"cut behind a dot", strings.Repeat("a", 51) + ".b.c", 1, strings.Repeat("a", 51) + "-" + id},
		{"cut behind a dash", strings.Repeat("a", 51) + "-b", 1, strings.Repeat("a", 51) + "-" + id},
		{"with dots", "dns.internal", 1, "dns.internal-" + id},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := check.Attempt{UUID: runUUID, Attempt: tt.attempt}
			got := run.PodName(tt.check)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if again := run.PodName(tt.check); again != got {
				t.Errorf("the same run gave %s, then %s", got, again)
			}
			if len(got) > 63 {
				t.Errorf("%s has %d characters, more than a host name may have", got, len(got))
			}
			if errs := validation.IsDNS1123Subdomain(got); len(errs) > 0 {
				t.Errorf("the API server refuses %s: %s", got, errs)
			}
		})
	}
}

func TestPodNameTellsRunsAndAttemptsApart(t *testing.T) {
	seen := map[string]string{}
	for range 1000 {
		id := uuid.NewString()
		for attempt := 1; attempt <= 2; attempt++ {
			name := check.Attempt{UUID: id, Attempt: attempt}.PodName("dns")
			if other, twice := seen[name]; twice {
				t.Fatalf("%s is the name for %s and for %s", name, other, id)
			}
			seen[name] = id
		}
	}
}

func TestPodNameContainsNoPartOfTheUUID(t *testing.T) {
	// Each of these groups has letters, so a short hash would show it only by chance.
	for _, id := range []string{runUUID, "00000000-1111-4222-8333-444444444444", "deadbeef-cafe-4bad-8bad-c0ffee123456"} {
		name := check.Attempt{UUID: id, Attempt: 2}.PodName("dns")
		for _, part := range strings.Split(id, "-") {
			for start := 0; start+4 <= len(part); start++ {
				if strings.Contains(name, part[start:start+4]) {
					t.Errorf("%s contains %s of %s", name, part[start:start+4], id)
				}
			}
		}
	}
}

func TestIDIsShortStableAndOneWay(t *testing.T) {
	id := check.ShortHash(runUUID)
	if want := "4b3626f183"; id != want {
		t.Errorf("ID is %s, want %s: pods and logs of runs in flight would change their names", id, want)
	}
	if !regexp.MustCompile(`^[0-9a-f]{10}$`).MatchString(id) {
		t.Errorf("ID %q is not ten hexadecimal digits", id)
	}
	if other := check.ShortHash(strings.ToUpper(runUUID)); other == id {
		t.Error("two texts have one ID")
	}
}
