"""Says what setup.cfg can't: the files in `configs/` are installed as the package `tfperf.configs`."""

import setuptools

setuptools.setup(
    packages=[*setuptools.find_packages(include=["tfperf", "tfperf.*"]), "tfperf.configs"],
    package_dir={"tfperf.configs": "configs"},
    package_data={"tfperf.configs": ["*.yaml"], "tfperf.reporting.plugin": ["static/*"]},
)
