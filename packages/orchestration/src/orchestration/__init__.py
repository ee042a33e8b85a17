"""Airflow runs the data pipeline's jobs. The DAGs are in ``dags``; they import everything else from here.

``commands`` and ``outcomes`` are pure and know no Airflow. Of the lake this package reads documents only, through
``etl_core``; it imports no job, which may live in another environment or in an image.
"""
