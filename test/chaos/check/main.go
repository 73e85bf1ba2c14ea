// Command check is the check of the crash tests. It reports as any check does, by external/checkclient, and writes what it
// did and what answer it got to a journal outside its pod.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/external/checkclient"
	"github.com/khronicle/khronicle/test/chaos/journal"
)

const aliveEvery = 500 * time.Millisecond

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		code = 1
	}
	os.Exit(code)
}

type check struct {
	act    Act
	pod    string
	run    string
	until  time.Time // the run's deadline
	log    *journal.Writer
	report int
}

func run() (code int, err error) {
	c := &check{pod: os.Getenv("POD_NAME"), run: os.Getenv("KH_RUN_UUID")}
	if c.until, err = checkclient.GetDeadline(); err != nil {
		return 0, err
	}
	seed, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("CHAOS_SEED: %w", err)
	}
	if c.log, err = journal.Create("/journal", c.pod); err != nil {
		return 0, err
	}
	c.act = Choose(seed, c.run)
	if err := c.log.Write(journal.Line{Kind: journal.Start, Pod: c.pod, Run: c.run, Deadline: c.until, Text: c.act.String()}); err != nil {
		return 0, err
	}
	checkclient.Debug = true
	slog.SetDefault(slog.New(listener{c}))
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go c.live(told)
	return c.play()
}

// live writes that the process is alive, until a signal arrives.
func (c *check) live(told <-chan os.Signal) {
	for {
		select {
		case <-told:
			c.write(journal.Line{Kind: journal.Told})
			os.Exit(143)
		case <-time.After(aliveEvery):
			c.write(journal.Line{Kind: journal.Alive})
		}
	}
}

// write ends the process when the journal cannot be kept: what it did then would be hidden.
func (c *check) write(line journal.Line) {
	if err := c.log.Write(line); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// play does what was chosen.
func (c *check) play() (code int, err error) {
	time.Sleep(c.act.Work)
	switch c.act.Role {
	case Crash:
		c.write(journal.Line{Kind: journal.End, Text: "crash"})
		return 3, nil
	case Hang:
		time.Sleep(time.Until(c.until) + time.Minute)
	case Fail:
		err = c.send(c.text("broken"))
	case Twice:
		if err = c.send(); err == nil {
			err = c.send(c.text("second thoughts"))
		}
	default:
		err = c.send()
	}
	if c.act.Role == Overstay {
		time.Sleep(time.Until(c.until) + time.Minute)
	}
	time.Sleep(c.act.Linger)
	if err != nil {
		c.write(journal.Line{Kind: journal.End, Text: "gave up"})
		return 4, nil
	}
	c.write(journal.Line{Kind: journal.End, Text: "done"})
	return 0, nil
}

// text is unique, so that no other run's report can be taken for it.
func (c *check) text(what string) string { return fmt.Sprintf("%s: %s of %s", c.pod, what, c.act.Role) }

func (c *check) send(errs ...string) error {
	c.report++
	c.write(journal.Line{Kind: journal.Sending, Report: c.report, OK: len(errs) == 0, Errors: errs})
	var err error
	if len(errs) == 0 {
		err = checkclient.ReportSuccess()
	} else {
		err = checkclient.ReportFailure(errs)
	}
	if err != nil {
		c.write(journal.Line{Kind: journal.GaveUp, Report: c.report, Text: err.Error()})
	}
	return err
}

// listener writes what checkclient says of each try to the journal: its functions return nil for a refused report too.
type listener struct{ *check }

func (l listener) Enabled(context.Context, slog.Level) bool { return true }
func (l listener) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l listener) WithGroup(string) slog.Handler            { return l }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	line := journal.Line{Report: l.report}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "http_status":
			line.Kind, line.Status = journal.Answered, int(a.Value.Int64())
		case "error":
			line.Kind, line.Text = journal.Unanswered, a.Value.String()
		}
		return true
	})
	if line.Kind != "" {
		l.write(line)
	}
	return nil
}
