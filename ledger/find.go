package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/khronicle/khronicle/check"
)

// LastFault returns the newest record with a fault of a check or job. The run failed, timed out, had an infrastructure
// failure, or had a failed attempt. ok is false if there is none. Records of a deleted check of the same name count too.
// There is no index for it: the records of the check are read from the newest on.
func (l *Ledger) LastFault(ctx context.Context, ref check.Ref) (a Record, ok bool, err error) {
	return l.newest(ctx, ref, `(r.outcome IN (2, 3, 4) OR r.flaky = 1 OR r.infra_failures > 0)`)
}

// RunAt returns the newest record of a check or job whose tick is not after a time.
func (l *Ledger) RunAt(ctx context.Context, ref check.Ref, at time.Time) (a Record, ok bool, err error) {
	return l.newest(ctx, ref, `r.tick <= $2`, at.UnixMicro())
}

// RunOf returns the record of a check or job with this workflow ID.
func (l *Ledger) RunOf(ctx context.Context, ref check.Ref, workflowID string) (a Record, ok bool, err error) {
	return l.newest(ctx, ref, `r.workflow_id = $2`, packID(workflowID))
}

// newest returns the newest record of a check or job that satisfies a condition, whose arguments are $2 and so on.
func (l *Ledger) newest(ctx context.Context, ref check.Ref, condition string, args ...any) (a Record, ok bool, err error) {
	ids, err := checkIDs(ctx, l.reader(), ref)
	for _, id := range ids {
		var found []Record
		found, err = queryRecords(ctx, l.reader(), selectRecords+` WHERE r.check_id = $1 AND `+condition+
			` ORDER BY r.tick DESC, r.trigger DESC LIMIT 1`, append([]any{id}, args...)...)
		if err != nil {
			break
		}
		if len(found) > 0 && (!ok || found[0].Tick.After(a.Tick)) {
			a, ok = found[0], true
		}
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("find record of %s: %w", ref, err)
	}
	return a, ok, nil
}
