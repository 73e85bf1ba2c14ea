// Package v1 holds the three custom resources of comcast.github.io/v1: KuberhealthyCheck, KuberhealthyJob and
// KuberhealthyState. They are Kuberhealthy v2's, so that every manifest written for it applies unchanged; what
// Khronicle adds is optional and named as CronJob and Job name it.
//
// +kubebuilder:object:generate=true
// +groupName=comcast.github.io
package v1
