// Package v1 holds the three custom resources of comcast.github.io/v1: KuberhealthyCheck, KuberhealthyJob and
// KuberhealthyState. They are those of Kuberhealthy v2, so that every manifest for v2 applies unchanged. Fields that
// Khronicle adds are optional. Where CronJob or Job has such a field, the name is the same.
//
// +kubebuilder:object:generate=true
// +groupName=comcast.github.io
package v1
