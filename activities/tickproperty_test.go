package activities_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/testsuite"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// cronWorkflow simulates a ScheduledCheck with a cron schedule, and Temporal, which schedules its ticks.
type cronWorkflow struct {
	random   *rand.Rand
	env      *testsuite.TestActivityEnvironment
	a        *activities.Activities
	runs     *fakeRuns
	kept     *fakeLedger
	spec     check.ScheduleSpec
	schedule check.Schedule
	// engine is the schedule by which Temporal starts ticks. It has more times than the schedule, if that has a time zone.
	engine check.Schedule

	start, last, since time.Time
	run                string
	runEnds            time.Time
	unrecorded         []activities.Span
	// skipped is a tick that was skipped and recorded, and whose answer was lost.
	skipped time.Time
	// want are the outcomes of the ticks so far; check.Unfinished stands for a run.
	want map[time.Time]check.Outcome
}

// tick waits for the time at which Temporal starts the next tick, which may be late, and decides it.
func (c *cronWorkflow) tick(t *testing.T, n int, late time.Duration) {
	t.Helper()
	tick := c.engine.Next(c.start, c.since)
	backoff := time.Duration(math.Ceil(tick.Sub(c.since).Seconds())) * time.Second // in whole seconds, as Temporal does
	time.Sleep(time.Until(c.since.Add(backoff)) + late)
	c.runs.open = nil
	if c.runEnds.After(time.Now()) {
		c.runs.open = []string{c.run}
	}
	in := activities.TickInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Schedule: c.spec, Start: c.start, Last: c.last, Since: c.since, Now: time.Now(),
		Previous: c.run, RunUUID: fmt.Sprint("run-", n), Unrecorded: c.unrecorded,
	}
	encoded, err := c.env.ExecuteActivity(c.a.Tick, in)
	if c.random.IntN(5) == 0 { // its answer is lost, and it is called again later
		time.Sleep(time.Duration(c.random.IntN(5000)) * time.Millisecond)
		first := value[activities.TickResult](t, encoded, err)
		if _, recorded := c.kept.rows[first.Tick.UTC()]; recorded && first.Skipped {
			c.skipped = first.Tick // and that remains, also when the second call is for a later tick
		}
		encoded, err = c.env.ExecuteActivity(c.a.Tick, in)
	}
	c.decided(in, tick, value[activities.TickResult](t, encoded, err))
}

// decided continues with what a tick decided, as ScheduledCheck does.
func (c *cronWorkflow) decided(in activities.TickInput, tick time.Time, got activities.TickResult) {
	if got.Tick.IsZero() { // Temporal started at a time that is no tick
		c.unrecorded, c.since = got.Unrecorded, time.Now()
		return
	}
	for missed := range c.schedule.Between(c.start, c.last, got.Tick) {
		c.want[missed.UTC()] = check.Missed
		if missed.Equal(c.skipped) {
			c.want[missed.UTC()] = check.Skipped
		}
	}
	if got.Skipped {
		c.want[got.Tick.UTC()] = check.Skipped
	} else {
		c.want[got.Tick.UTC()] = check.Unfinished
		c.run, c.runEnds = in.RunUUID, time.Now().Add(time.Duration(c.random.ExpFloat64()*float64(c.schedule.Interval(tick))))
		record := ledger.Record{Key: ledger.Key{Tick: got.Tick}, WorkflowID: c.run}
		c.kept.rows[got.Tick.UTC()] = record // whatever the ledger does: in the end it is entered from the result of the run
	}
	c.unrecorded, c.last = got.Unrecorded, got.Tick
	time.Sleep(time.Duration(c.random.IntN(300)) * time.Millisecond)
	c.since = time.Now()
}

// Each tick between the first and the last tick has one record, with the right outcome, whatever fails meanwhile.
func TestEachTickHasOneRecord(t *testing.T) {
	specs := []check.ScheduleSpec{
		{RunInterval: "1s"},
		{RunInterval: "7s"},
		{RunInterval: "1m"},
		{RunInterval: "10m"},
		{RunInterval: "36h"},
		{Schedule: "@every 7m"},
		{Schedule: "*/5 * * * *"},
		{Schedule: "30 * * * *", TimeZone: "Europe/Berlin"},
		{Schedule: "15 2 * * 0", TimeZone: "America/New_York"},
		{Schedule: "0 0,12 * * *", TimeZone: "Africa/Cairo"},
		{Schedule: "*/20 1-3 * * *", TimeZone: "Australia/Lord_Howe"},
	}
	for seed := range uint64(40) {
		spec := specs[int(seed)%len(specs)]
		t.Run(fmt.Sprintf("%d %v", seed, spec), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playTicks(t, rand.New(rand.NewPCG(seed, 1)), spec) })
		})
	}
}

// engineOf returns the times at which Temporal starts the ticks of a schedule.
func engineOf(t *testing.T, schedule check.Schedule) check.Schedule {
	t.Helper()
	expression, ok := strings.CutPrefix(schedule.CronSpec(time.Now()), "CRON_TZ=UTC ")
	if !ok { // an interval
		return schedule
	}
	engine, err := check.ParseSchedule(check.ScheduleSpec{Schedule: expression})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func playTicks(t *testing.T, random *rand.Rand, spec check.ScheduleSpec) {
	schedule, err := check.ParseSchedule(spec)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(random.IntN(1e9))) // Temporal's times are no whole seconds
	a, env := worker(&fakeCluster{})
	c := &cronWorkflow{
		random: random, env: env, a: a, runs: &fakeRuns{}, kept: &fakeLedger{rows: map[time.Time]ledger.Record{}}, spec: spec, schedule: schedule,
		engine: engineOf(t, schedule), start: time.Now().Truncate(time.Second), since: time.Now(), want: map[time.Time]check.Outcome{},
	}
	c.last, a.Runs, a.Ledger = c.start, c.runs, c.kept
	for n := range 150 {
		late := time.Duration(random.IntN(100)) * time.Millisecond
		if random.IntN(10) == 0 {
			late = time.Duration(random.ExpFloat64() * 5 * float64(schedule.Interval(c.since)))
		}
		c.kept.hang, c.kept.refuse = false, nil
		switch random.IntN(6) {
		case 0:
			c.kept.hang = true
		case 1:
			c.kept.refuse = ledger.ErrUnavailable
		}
		c.tick(t, n, late)
	}
	c.kept.hang, c.kept.refuse = false, nil
	for n := 150; c.unrecorded != nil || n == 150; n++ {
		c.tick(t, n, 0)
	}
	if diff := cmp.Diff(c.want, c.kept.outcomes()); diff != "" {
		t.Errorf("records of the ticks (-want +got):\n%s", diff)
	}
	for tick := range schedule.Between(c.start, c.start, c.last.Add(1)) {
		if _, recorded := c.kept.rows[tick.UTC()]; !recorded {
			t.Errorf("the tick that was due at %s has no record", tick)
		}
	}
	if len(c.runs.started) == 0 {
		t.Error("no run was started")
	}
}
