package health

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// State is the state of the cluster as the status page shows it. The keys of CheckDetails and JobDetails are
// "NAMESPACE/NAME".
type State struct {
	OK            bool
	Errors        []string
	CheckDetails  map[string]WorkloadDetails
	JobDetails    map[string]WorkloadDetails
	CurrentMaster string
}

// NewState returns a state that is OK and empty.
func NewState() State {
	return State{
		OK: true, Errors: []string{}, CheckDetails: map[string]WorkloadDetails{}, JobDetails: map[string]WorkloadDetails{},
	}
}

// AddError adds errors, but no empty ones. It leaves OK as it is.
func (s *State) AddError(errors ...string) {
	for _, text := range errors {
		if text != "" {
			s.Errors = append(s.Errors, text)
		}
	}
}

// WriteHTTPStatusResponse writes the state as the status page does: indented JSON, in which the map alone tells checks
// from jobs.
func (s *State) WriteHTTPStatusResponse(w http.ResponseWriter) error {
	shown := *s
	shown.CheckDetails, shown.JobDetails = withoutWorkload(s.CheckDetails), withoutWorkload(s.JobDetails)
	page, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(page); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func withoutWorkload(all map[string]WorkloadDetails) map[string]WorkloadDetails {
	shown := make(map[string]WorkloadDetails, len(all))
	for name, details := range all {
		details.KHWorkload = nil
		shown[name] = details
	}
	return shown
}
