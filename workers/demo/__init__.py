"""The demo: 1,797 real images through a real model behind a local SageMaker endpoint."""
