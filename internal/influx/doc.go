// Package influx sends the outcomes of runs to InfluxDB, under the names that Kuberhealthy uses. It never makes a run wait
// or fail: points that InfluxDB does not take are kept, within bounds, and sent again.
//
// It writes to /write, the endpoint of Kuberhealthy's client, which every InfluxDB since 1.0 has, 2 and 3 as well.
package influx
