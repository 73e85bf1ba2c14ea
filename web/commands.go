package web

import (
	"regexp"
	"strings"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/view"
)

// command is a command line that people copy into a shell.
type command struct{ ID, Title, Line string }

// commandsFor returns what can be done with a check or job. The pages themselves change nothing: Kubernetes knows who may.
func commandsFor(c *view.Check) []command {
	of := "kubectl -n " + shell(c.Namespace)
	logs := command{"logs", "Logs of its pods", of + " logs -l " + shell(protocol.LabelCheckName+"="+c.Name) + " --all-containers --prefix --tail=200"}
	if c.Kind == khv1.KHJob {
		return []command{logs}
	}
	suspend := command{"pause", "Pause", patch(of, c.Ref, "true")}
	if c.Suspended {
		suspend = command{"resume", "Resume", patch(of, c.Ref, "false")}
	}
	now := of + " annotate khc " + shell(c.Name) + " " + protocol.AnnotationRequestedAt + `="$(date +%s)" --overwrite`
	return []command{{"run-now", "Run now", now}, suspend, logs}
}

func patch(of string, ref check.Ref, suspend string) string {
	return of + " patch khc " + shell(ref.Name) + ` --type merge -p '{"spec":{"suspend":` + suspend + `}}'`
}

// plainWord is what a shell reads as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._=-]*$`)

// shell returns a text as one word of a shell, whatever is in it.
func shell(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(clean(text), "'", `'\''`) + "'"
}
