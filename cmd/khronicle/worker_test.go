package main

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/telemetry"
)

// exporting is a process with these settings as far as the InfluxDB export needs it.
func exporting(live *settings.Live) *process {
	return &process{
		config: &config{}, live: live, logger: slog.New(slog.DiscardHandler),
		metrics: telemetry.Metrics{Registry: prometheus.NewRegistry()},
	}
}

// A file that is called right shall not keep the worker from starting.
func TestFileIsRightOnlyIfInfluxDBCanBeWrittenTo(t *testing.T) {
	tests := []struct {
		name, file    string
		wrong, export bool
	}{
		{"nothing", "", false, false},
		{"not enabled", "influxURL: http://influx:8086\n", false, false},
		{"host and database", "enableInflux: true\ninfluxURL: http://influx:8086\ninfluxDB: checks\n", false, true},
		{"address of version 6", "enableInflux: true\ninfluxURL: https://[::1]\ninfluxDB: checks\n", false, true},
		{"scheme in capitals", "enableInflux: true\ninfluxURL: HTTP://influx\ninfluxDB: checks\n", false, true},
		{"no database", "enableInflux: true\ninfluxURL: http://influx:8086\n", true, false},
		{"no URL", "enableInflux: true\ninfluxDB: checks\n", true, false},
		{"no host", "enableInflux: true\ninfluxURL: http://:8086\ninfluxDB: checks\n", true, false},
		{"neither host nor port", "enableInflux: true\ninfluxURL: http://\ninfluxDB: checks\n", true, false},
		{"empty brackets", "enableInflux: true\ninfluxURL: http://[]:8086\ninfluxDB: checks\n", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			live, _, _, err := configured(t, "-c", settingsFile(t, tt.file))
			if (err != nil) != tt.wrong {
				t.Fatalf("error %v, want one: %t", err, tt.wrong)
			}
			if tt.wrong {
				return
			}
			exporter, err := exporting(live).influxExporter()
			if err != nil || (exporter != nil) != tt.export {
				t.Fatalf("exporter %v, error %v, want an exporter: %t", exporter, err, tt.export)
			}
			if exporter != nil {
				exporter.Close()
			}
		})
	}
}

func TestErrorOfTheInfluxDBExportSaysOnceWhatItIsOf(t *testing.T) {
	live, err := settings.Load(settings.Options{
		Logger:    slog.New(slog.DiscardHandler),
		Overrides: settings.Overrides{"influxURL": {Source: "--influx", Set: func(s *settings.Settings) { s.Influx = settings.InfluxConfig{Enabled: true, URL: "http://influx"} }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = exporting(live).influxExporter()
	if want := "export to InfluxDB: no database is named"; errorText(err) != want {
		t.Errorf("error %q, want %q", errorText(err), want)
	}
}
