"""Installs the files in `configs/` as the package `tfperf.configs`, which setup.cfg can't express."""

import setuptools

setuptools.setup(
    packages=[*setuptools.find_packages(include=["tfperf", "tfperf.*"]), "tfperf.configs"],
    package_dir={"tfperf.configs": "configs"},
    package_data={"tfperf": ["py.typed"], "tfperf.configs": ["*.yaml"], "tfperf.reporting.plugin": ["static/*"]},
)
