// Package influx sends the outcomes of runs to InfluxDB, with the names that Kuberhealthy uses. It never makes a run wait or
// fail: a bounded buffer holds the points until InfluxDB accepts them.
//
// It writes to /write, as Kuberhealthy's client does. InfluxDB 1, 2 and 3 have this endpoint.
package influx
