"""From a job to a picture: inputs gathered, stylizer built, steps painted, recipe written."""
