package config

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

// pollEvery is how often the file is read, as in Kuberhealthy. A change counts when two looks find the same content, so that
// a half-written file never does.
const pollEvery = 2 * time.Second

// digest identifies the content of the file, or the error of reading it, without the secrets in it.
type digest [sha256.Size]byte

func digestOf(content []byte, err error) digest {
	if err != nil {
		return sha256.Sum256([]byte("error: " + err.Error()))
	}
	return sha256.Sum256(content)
}

// Run reloads the file whenever its content changes, until ctx ends. It compares only the content, so any way to change the
// file works: for a ConfigMap, the kubelet replaces a symbolic link to a directory.
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

// reload puts a new content in force if it has no errors.
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
	l.logChanges(before, l.present.Load())
}

// logChanges logs the keys that changed. It logs no values, because they may be secrets.
func (l *Live) logChanges(before, now *state) {
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

// overridden returns the keys that a flag or the environment overrides.
func (l *Live) overridden(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, is := l.options.Overrides[name]
		return !is
	})
}

// waiting returns the keys whose new values need a restart of the process.
func (l *Live) waiting(names []string, now *state) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		k, _ := findField(name)
		return !k.restart || k.same(&l.start, &now.effective)
	})
}
