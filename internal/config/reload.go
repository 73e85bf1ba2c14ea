package config

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

// pollEvery is how often the file is looked at, as in Kuberhealthy. A change counts once two looks found the same, so
// that a file half written is not read.
const pollEvery = 2 * time.Second

// digest stands for the content of the file, which may hold a secret, or for why it could not be read.
type digest [sha256.Size]byte

func digestOf(content []byte, err error) digest {
	if err != nil {
		return sha256.Sum256([]byte("error: " + err.Error()))
	}
	return sha256.Sum256(content)
}

// Run reads the file again whenever its content has changed, until ctx ends. It looks at the content alone, so that any
// way to change a file will do: a ConfigMap's is a symbolic link to a directory that another one takes the place of.
func (l *Live) Run(ctx context.Context) {
	if l.options.Path == "" {
		return
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.look()
		}
	}
}

func (l *Live) look() {
	content, err := read(l.options.Path)
	found := digestOf(content, err)
	settled := found == l.seen
	l.seen = found
	if !settled || found == l.handled {
		return
	}
	l.handled = found
	l.reload(content, err)
}

// reload puts a new content in force, if it is right.
func (l *Live) reload(content []byte, err error) {
	var file Settings
	var warnings []string
	if err == nil {
		file, warnings, err = Parse(l.options.Path, content, l.options.Defaults)
	}
	if err != nil {
		l.metrics.failed()
		l.options.Logger.Error("configuration not reloaded, the previous one stays in force", "error", err)
		return
	}
	before := l.present.Load()
	l.apply(file, warnings)
	l.tell(before, l.present.Load())
}

// tell logs what became of the keys that changed, by their names: a value may be a secret.
func (l *Live) tell(before, now *state) {
	names := changed(&before.file, &now.file)
	report := []any{"path", l.options.Path, "changed", names}
	if overridden := l.overridden(names); len(overridden) > 0 {
		report = append(report, "overridden", overridden)
	}
	l.options.Logger.Info("configuration reloaded", report...)
	if waiting := l.waiting(names, now); len(waiting) > 0 {
		l.options.Logger.Warn("changed settings take effect at the next start", "keys", waiting)
	}
	if !slices.Equal(before.warnings, now.warnings) {
		l.warn(now.warnings)
	}
}

// overridden returns those of the keys that a flag or the environment goes before.
func (l *Live) overridden(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return l.options.Overrides[name] == nil })
}

// waiting returns those of the keys that the process was started with other values of.
func (l *Live) waiting(names []string, now *state) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		k, _ := findField(name)
		return !k.restart || k.same(&l.start, &now.effective)
	})
}
