"""A SageMaker endpoint, S3 and Redis on one machine, for laptops and tests."""
