package yamlfile

// Distance is the number of slips between two texts.
var Distance = distance
