package kube

// LoadConfigAs is LoadConfig where a pod would be given what inCluster returns.
var LoadConfigAs = loadConfig
